"""Model folders: of Hugging Face, whole or in shards, of PEFT and of MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt.weights.formats.safetensors import read_sharded
from wwopt.weights.formats.suffixes import CHECKPOINT_SUFFIXES
from wwopt.weights.matrices.layout import to_matrices
from wwopt.weights.matrices.lora import CONFIG, read_adapter
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from wwopt.weights.matrices.matrix import Weights

__all__ = ["MODEL_FILES", "WEIGHT_FILES", "read_folder", "read_index"]

ReadFile = Callable[[Path], Iterable[NamedTensor]]

MODEL_FILES = ("config.json", "MLmodel", CONFIG)  # any of these marks a folder as one model
WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "state_dict.pth",
)
MLFLOW = ("data/model.pt2", "data/model.pth", "model", "model.sentence_transformer")
SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d+)-of-(?P<count>\d+)(?P<suffix>\.\w+)$")


def read_folder(folder: Path, read_file: ReadFile) -> Weights:
    """Describe the weights of the model in a folder.

    Raises
    ------
    ValueError
        The folder holds no checkpoint, or several and none that takes precedence.
    """
    if (folder / CONFIG).is_file():
        return read_adapter(folder, read_file)
    if (folder / "MLmodel").is_file():
        inner = next((folder / name for name in MLFLOW if (folder / name).exists()), None)
        if inner is None:
            raise ValueError(
                f"{folder} is an MLflow model without PyTorch weights; it has none of {', '.join(MLFLOW)}."
            )
        return read_folder(inner, read_file) if inner.is_dir() else to_matrices(read_file(inner))
    return to_matrices(_tensors(folder, read_file), _configuration(folder))


def read_index(index: Path, read_file: ReadFile) -> list[NamedTensor]:
    """Describe the tensors of a sharded checkpoint, in the order of its index.

    Raises
    ------
    ValueError
        The index is damaged, or a shard is missing or lacks a tensor that the index lists.
    """
    files = read_sharded(index)
    shards = {file: {tensor.name: tensor for tensor in read_file(index.parent / file)} for file in set(files.values())}
    absent = [f"{name!r} in {file}" for name, file in files.items() if name not in shards[file]]
    if absent:
        raise ValueError(f"{index} lists {absent[0]}, which does not hold it, and {len(absent) - 1} more such tensors.")
    return [shards[file][name] for name, file in files.items()]


def _tensors(folder: Path, read_file: ReadFile) -> Iterable[NamedTensor]:
    whole = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if whole is not None:
        return read_file(whole)
    indices = sorted(folder.glob("*.index.json"))
    files = sorted(path for path in folder.iterdir() if path.suffix in CHECKPOINT_SUFFIXES and path.is_file())
    if len(indices) == 1:
        return read_file(indices[0])
    if len(files) == 1 and not SHARD.match(files[0].name):
        return read_file(files[0])
    if files and all(SHARD.match(path.name) for path in files):
        return _shards(folder, files, read_file)
    if (folder / ".metadata").is_file() and any(folder.glob("*.distcp")):
        raise ValueError(
            f"{folder} is a distributed checkpoint, which is pickled. Turn it into one file: "
            "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE`."
        )
    found = ", ".join(path.name for path in files) or "none"
    raise ValueError(f"{folder} must hold one checkpoint, found {found}. Give the path of the file that you mean.")


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
    return config if isinstance(config, dict) else {}
