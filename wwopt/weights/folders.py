"""Model folders: of Hugging Face, whole, in shards or in subfolders, of PEFT and of MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt.weights.formats.foreign_folders import refuse_foreign_content, refuse_foreign_folder
from wwopt.weights.formats.keras import read_hdf5
from wwopt.weights.formats.safetensors import read_sharded
from wwopt.weights.formats.suffixes import CHECKPOINT_SUFFIXES
from wwopt.weights.matrices.layout import to_matrices
from wwopt.weights.matrices.lora import CONFIG, read_adapter
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from wwopt.weights.matrices.matrix import Weights

__all__ = [
    "MODEL_FILES",
    "WEIGHT_FILES",
    "cached_snapshot",
    "is_cached",
    "quantization_settings",
    "read_folder",
    "read_index",
]

ReadFile = Callable[[Path], Iterable[NamedTensor]]

PIPELINE = "model_index.json"  # of diffusers, which keeps each network in a subfolder
MODULES = "modules.json"  # of sentence-transformers, which keeps each module after the first in a subfolder
MODEL_FILES = ("config.json", "MLmodel", CONFIG, PIPELINE, MODULES)  # any of these marks a folder as one model
SETTINGS = {"config.json": "", "quantize_config.json": "gptq", "quant_config.json": "awq"}  # and methods
WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "state_dict.pth",
)
MLFLOW = ("data/model.pt2", "data/model.pth", "model", "model.sentence_transformer", "model.onnx", "data/model.keras")
KERAS_INDEX = ".weights.json"  # which tells the files of a layer's weights
SNAPSHOTS = "snapshots"
VARIANT = re.compile(
    r"(?P<stem>(diffusion_pytorch_|pytorch_)?(model|weights))(\.(?P<variant>\w+))?(-\d+-of-\d+)?"
    r"\.(safetensors|bin)(\.index(\.(?P<of_index>\w+))?\.json)?$"
)
SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d+)-of-(?P<count>\d+)(?P<suffix>\.\w+)$")


def read_folder(folder: Path, read_file: ReadFile) -> Weights:
    """Describe the weights of the model in a folder.

    Raises
    ------
    ValueError
        The folder holds no checkpoint, or several and none that takes precedence.
    """
    folder = cached_snapshot(folder) if is_cached(folder) else folder
    if (folder / CONFIG).is_file():
        return read_adapter(folder, read_file)
    if (folder / "MLmodel").is_file():
        inner = next((folder / name for name in MLFLOW if (folder / name).exists()), None)
        if inner is None:
            raise ValueError(
                f"{folder} is an MLflow model without PyTorch weights; it has none of {', '.join(MLFLOW)}."
            )
        return read_folder(inner, read_file) if inner.is_dir() else to_matrices(read_file(inner))
    if (folder / PIPELINE).is_file():
        return to_matrices(_parts(folder, _with_weights(folder), read_file))
    if (folder / MODULES).is_file():
        first, *others = _modules(folder)
        tensors = [*_tensors(first, read_file), *_parts(folder, others, read_file)]
        return to_matrices(tensors, _configuration(first))
    return to_matrices(_tensors(folder, read_file), _configuration(folder))


def is_cached(folder: Path) -> bool:
    """Whether a folder is a model in the cache of the Hugging Face hub, which keeps its revisions in subfolders."""
    repository = folder.parent if folder.name == SNAPSHOTS else folder
    return repository.name.startswith("models--") and (repository / SNAPSHOTS).is_dir()


def cached_snapshot(folder: Path) -> Path:
    """Return the folder of a cached model's main revision, or of its only one.

    Raises
    ------
    ValueError
        There is none, or several and none that is the main one.
    """
    repository = folder.parent if folder.name == SNAPSHOTS else folder
    main = repository / "refs" / "main"
    revision = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    snapshots = sorted(path for path in (repository / SNAPSHOTS).iterdir() if path.is_dir())
    named = [path for path in snapshots if path.name == revision]
    if len(named or snapshots) != 1:
        found = ", ".join(path.name for path in snapshots) or "none"
        raise ValueError(f"{folder} must hold one revision or a main one, found {found}. Give the path of a revision.")
    return (named or snapshots)[0]


def _with_weights(folder: Path) -> list[Path]:
    """List the subfolders that hold weights."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    found = [path for path in folders if any(file.suffix in CHECKPOINT_SUFFIXES for file in path.iterdir())]
    if not found:
        raise ValueError(f"{folder} has a {PIPELINE}, but no subfolder with weights; download it again.")
    return found


def _modules(folder: Path) -> list[Path]:
    """List the folders of the modules of sentence-transformers that hold weights, the transformer first."""
    try:
        paths = [str(module["path"]) for module in json.loads((folder / MODULES).read_bytes())]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{folder / MODULES} is not a readable list of modules: {error!r}") from error
    outside = next((path for path in paths if Path(path).is_absolute() or ".." in Path(path).parts), None)
    if outside is not None:
        raise ValueError(f"{folder / MODULES} names the module {outside!r}, which lies outside of its folder.")
    folders = [folder / path for path in paths if (folder / path).is_dir()]
    found = [path for path in folders if any(file.suffix in CHECKPOINT_SUFFIXES for file in path.iterdir())]
    return found or [folder]


def _parts(folder: Path, parts: Iterable[Path], read_file: ReadFile) -> list[NamedTensor]:
    """Describe the tensors of subfolders, whose names come before theirs."""
    found = []
    for part in parts:
        prefix = part.relative_to(folder).as_posix()
        for tensor in _tensors(part, read_file):
            same_as = None if tensor.same_as is None else f"{prefix}.{tensor.same_as}"
            found.append(replace(tensor, name=f"{prefix}.{tensor.name}", same_as=same_as))
    return found


def read_index(index: Path, read_file: ReadFile) -> list[NamedTensor]:
    """Describe the tensors of a sharded checkpoint, in the order of its index.

    Raises
    ------
    ValueError
        The index is damaged, or a shard is missing or lacks a tensor that the index lists.
    """
    files = read_sharded(index)
    if index.name.endswith(KERAS_INDEX):
        return read_hdf5(*(index.parent / file for file in dict.fromkeys(files.values())))
    shards = {file: {tensor.name: tensor for tensor in read_file(index.parent / file)} for file in set(files.values())}
    absent = [f"{name!r} in {file}" for name, file in files.items() if name not in shards[file]]
    if absent:
        raise ValueError(f"{index} lists {absent[0]}, which does not hold it, and {len(absent) - 1} more such tensors.")
    return [shards[file][name] for name, file in files.items()]


def _tensors(folder: Path, read_file: ReadFile) -> Iterable[NamedTensor]:
    whole = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if whole is not None:
        return read_file(whole)
    refuse_foreign_folder(folder)
    lost = next((path for path in sorted(folder.iterdir()) if _is_lost(path)), None)
    if lost is not None:
        raise ValueError(f"{lost} is a link to a file that is missing; download the model again.")
    files = _preferred([path for path in folder.iterdir() if path.suffix in CHECKPOINT_SUFFIXES and path.is_file()])
    indices = _preferred([*folder.glob("*.index*.json"), *folder.glob(f"*{KERAS_INDEX}")])
    if len(indices) == 1:
        return read_file(indices[0])
    if len(files) == 1 and not SHARD.match(files[0].name):
        return read_file(files[0])
    if files and all(SHARD.match(path.name) for path in files):
        return _shards(folder, files, read_file)
    if not files:
        refuse_foreign_content(folder, folder.iterdir())
    found = ", ".join(path.name for path in files) or "none"
    raise ValueError(f"{folder} must hold one checkpoint, found {found}. Give the path of the file that you mean.")


def _is_lost(path: Path) -> bool:
    return path.suffix in CHECKPOINT_SUFFIXES and path.is_symlink() and not path.exists()


def _preferred(files: Iterable[Path]) -> list[Path]:
    """Leave out variants of a file that is there, such as its half-precision copy, and pickles beside safetensors."""
    found = sorted(files)
    kinds = {path: _stem(path) for path in found}
    plain = [path for path in found if not kinds[path][1]] or found
    safe = {kinds[path][0] for path in plain if ".safetensors" in path.suffixes}
    return [path for path in plain if ".bin" not in path.suffixes or kinds[path][0] not in safe]


def _stem(path: Path) -> tuple[str, str]:
    """Name of a file without its variant, suffix and number, and the variant: ``unet``, ``fp16`` of unet.fp16.bin."""
    match = VARIANT.match(path.name)
    return (match["stem"], match["variant"] or match["of_index"] or "") if match else (path.name, "")


def _shards(folder: Path, files: list[Path], read_file: ReadFile) -> list[NamedTensor]:
    """Join the shards of a model without an index; their names tell how many there are."""
    parts = [match for path in files if (match := SHARD.match(path.name))]
    if len({(part["stem"], part["count"], part["suffix"]) for part in parts}) > 1:
        raise ValueError(f"{folder} must hold one checkpoint, found shards of several and no index that says which.")
    count = int(parts[0]["count"])
    missing = set(range(1, count + 1)) - {int(part["number"]) for part in parts}
    if missing and set(range(count)) - {int(part["number"]) for part in parts}:
        raise ValueError(f"{folder} holds {len(files)} of {count} shards; number {min(missing)} is missing.")
    return [tensor for path in files for tensor in read_file(path)]


def _configuration(folder: Path) -> dict[str, Any]:
    """Return the model's ``config.json``, which describes the layout of fused attention weights."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / 'config.json'} is not readable: {error}") from error
    return (config if isinstance(config, dict) else {}) | quantization_settings(folder)


def quantization_settings(folder: Path) -> dict[str, Any]:
    """Return what the configurations in a folder tell of how its weights were quantised; empty where they do not."""
    for name, method in SETTINGS.items():
        try:
            settings = json.loads((folder / name).read_bytes())
        except (OSError, ValueError, RecursionError):  # a file beside the weights, which may be of something else
            continue
        known = settings if isinstance(settings, dict) else {}
        told = {key: known[key] for key in ("quantization", "quantization_config") if isinstance(known.get(key), dict)}
        if told or name != "config.json":
            return told or {"quantization_config": {"quant_method": method, **known}}
    return {}
