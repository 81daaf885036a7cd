"""Models by name, downloaded from the Hugging Face hub or from MLflow."""

from __future__ import annotations

import re
from pathlib import Path

from wwopt.text import one_line
from wwopt.weights.formats.suffixes import HUB_SUFFIXES

__all__ = ["download", "is_remote"]

MLFLOW = ("models:/", "runs:/", "mlflow-artifacts:/")
HF = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?$")
NESTED = ("model_index.json", "modules.json")  # of models whose parts lie in subfolders
VARIANTS = ["*.fp16.*", "*.bf16.*", "*.fp16-*", "*.bf16-*", "*non_ema*"]  # copies of what is fetched
WEIGHTS = {suffix for suffixes in HUB_SUFFIXES for suffix in suffixes}


def is_remote(name: str) -> bool:
    """Whether a source is the name of a remote model rather than a path.

    Examples
    --------
    >>> is_remote("hf://org/name"), is_remote("model.safetensors")
    (True, False)
    """
    return name.startswith(("hf://", *MLFLOW))


def download(name: str) -> Path:
    """Download a model's files, or find them in the local cache.

    Parameters
    ----------
    name : str
        ``hf://org/name``, ``hf://org/name@revision``, ``models:/name/version`` or ``runs:/run_id/path``.

    Returns
    -------
    Path
        Their folder, or a single file.

    Raises
    ------
    ValueError
        The name is malformed.
    FileNotFoundError
        There is no such model, or it cannot be reached.
    ImportError
        The client library is not installed.
    """
    return _from_hugging_face(name) if name.startswith("hf://") else _from_mlflow(name)


def _from_hugging_face(name: str) -> Path:
    match = HF.match(name)
    if match is None:
        raise ValueError(f"A name on the hub must read `hf://org/name` or `hf://org/name@revision`, got {name!r}.")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415  (an extra)
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(f"{name} needs huggingface_hub. Run `pip install 'wwopt[hub]'`.") from error

    def fetch(patterns: list[str], ignored: list[str]) -> Path:
        try:
            return Path(
                snapshot_download(
                    match["repo"], revision=match["revision"], allow_patterns=patterns, ignore_patterns=ignored
                )
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise FileNotFoundError(f"{name} cannot be fetched: {str(error).splitlines()[0]}") from error

    folder = Path()
    for suffixes in HUB_SUFFIXES:  # safetensors where there are some, so that nothing is fetched twice
        folder = fetch(["*.json", *(f"*{suffix}" for suffix in suffixes)], ["*/*"])
        if any(path.suffix in WEIGHTS for path in folder.iterdir()):
            break
    if any((folder / index).is_file() for index in NESTED):
        folder = fetch(["*/*.json", "*/*.safetensors"], VARIANTS)
    return folder


def _from_mlflow(name: str) -> Path:
    try:
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415  (an extra)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(f"{name} needs MLflow. Run `pip install 'wwopt[mlflow]'`.") from error
    try:
        return Path(download_artifacts(artifact_uri=name))
    except (MlflowException, OSError) as error:
        raise FileNotFoundError(f"{name} cannot be fetched: {one_line(error)}") from error
