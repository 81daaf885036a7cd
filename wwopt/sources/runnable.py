"""`load_module`: a source as a module that can be asked, where that needs no code of the source's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from wwopt.sources.exported import read_program
from wwopt.sources.resolve import Kind, Source
from wwopt.weights.formats.torch_file import is_pt2

__all__ = ["load_module"]


def load_module(source: Source) -> Any:
    """Return a module; exported programs and Hugging Face's folders of known architectures are loaded.

    Parameters
    ----------
    source : Source
        As `resolve` returns it.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    TypeError
        It cannot be run, such as a state dict: only its weights are known.
    ValueError
        The file or folder cannot be loaded, or would have to run code of its own.
    ImportError
        transformers is not installed.
    """
    if source.kind is Kind.MODULE:
        return source.value
    if isinstance(source.value, Path):
        if source.kind is Kind.FILE and is_pt2(source.value):
            return read_program(source.value)
        if source.kind is Kind.MODEL and (source.value / "config.json").is_file():
            return _read_folder(source.value)
    raise TypeError(f"{source.kind.value} cannot be run: give the module to `wwopt.rank`")


def _read_folder(folder: Path) -> Any:
    """Load a model of Hugging Face's by its configuration, from safetensors only."""
    names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder.name} cannot be run: it holds no safetensors, and pickles are not loaded")
    architecture = _architecture(folder.name, names)
    try:
        with _quiet():
            model, info = architecture.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # whatever a configuration makes another library do
        raise ValueError(f"{folder.name} cannot be run: {type(error).__name__}: {error}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ValueError(f"{folder.name} cannot be run: it does not hold {missing}, which would be random")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing bars and warnings; what goes wrong is raised, or told by what is missing."""
    logging: Any = import_module("transformers.utils.logging")  # most of it is not typed
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _architecture(folder: str, names: list[object]) -> Any:
    """A class of transformers' own, by the first name in a configuration."""
    try:
        import transformers  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise ImportError(
            "Running a folder of Hugging Face's needs transformers. Run `pip install 'wwopt[transformers]'`."
        ) from error
    known = getattr(transformers, str(names[0]), None) if names else None
    if isinstance(known, type) and issubclass(known, transformers.PreTrainedModel):
        return known
    unknown = ", ".join(map(str, names)) or "(none named)"
    raise ValueError(
        f"{folder} cannot be run: transformers {transformers.__version__} does not know its architecture {unknown}"
    )
