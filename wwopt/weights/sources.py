"""Every way in: a module, a mapping of tensors, a checkpoint file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wwopt.weights.files import read_checkpoint, read_safetensors
from wwopt.weights.layout import to_matrices
from wwopt.weights.matrix import NamedTensor, Weights

__all__ = ["open_weights"]

CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
MODULE_TYPES: dict[type[torch.nn.Module], str] = {
    torch.nn.Linear: "dense",
    torch.nn.Embedding: "embedding",
    torch.nn.EmbeddingBag: "embedding",
    torch.nn.Conv1d: "conv1d",
    torch.nn.Conv2d: "conv2d",
    torch.nn.Conv3d: "conv3d",
}


def open_weights(source: object) -> Weights:
    """Describe the weight matrices of a source; nothing large is read yet.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to array, or path
        A model; a state dict, also inside ``{"state_dict": ...}`` and the like; a ``.safetensors``,
        ``.pt``, ``.pth`` or ``.th`` file.

    Raises
    ------
    TypeError
        The source is none of these.
    FileNotFoundError
        There is no such file.
    ValueError
        The file cannot be read, or no weight matrix is in the source.
    """
    tensors, label = _named_tensors(source)
    weights = to_matrices(tensors)
    if not weights.matrices and not weights.skipped:
        raise ValueError(f"No weight matrix in {label}: it holds no tensor of two or more dimensions.")
    return weights


def _named_tensors(source: object) -> tuple[Iterator[NamedTensor], str]:
    if isinstance(source, torch.nn.Module):
        return _from_module(source), f"the {type(source).__name__}"
    if isinstance(source, Mapping):
        return _from_mapping(source), "the mapping"
    if isinstance(source, (str, os.PathLike)):
        return _from_path(Path(source)), str(source)
    raise TypeError(
        "`source` must be a torch.nn.Module, a mapping of names to tensors, or a path to a checkpoint, "
        f"got {type(source).__name__}."
    )


def _from_module(model: torch.nn.Module) -> Iterator[NamedTensor]:
    seen: dict[tuple[int, torch.Size], str] = {}
    for path, module in model.named_modules(remove_duplicate=True):
        layer_type = next((name for kind, name in MODULE_TYPES.items() if isinstance(module, kind)), None)
        for key, parameter in module.named_parameters(recurse=False):
            name = f"{path}.{key}" if path else key
            yield _described(name, parameter.detach(), seen, layer_type if key == "weight" else None)


def _from_mapping(mapping: Mapping[Any, Any]) -> Iterator[NamedTensor]:
    seen: dict[tuple[int, torch.Size], str] = {}
    for name, value in _unwrapped(mapping).items():
        tensor = _as_tensor(value)
        if tensor is not None:
            yield _described(str(name), tensor, seen)


def _from_path(path: Path) -> Iterator[NamedTensor]:
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the path of a checkpoint file in it.")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    return _from_mapping(read_checkpoint(path))


def _unwrapped(mapping: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Find the state dict inside a training checkpoint: ``{"state_dict": {...}, "epoch": 3}``."""
    if any(_as_tensor(value) is not None for value in mapping.values()):
        return mapping
    for key in CONTAINERS:
        inner = mapping.get(key)
        if isinstance(inner, torch.nn.Module):
            return dict(inner.named_parameters())
        if isinstance(inner, Mapping):
            return _unwrapped(inner)
    return mapping


def _as_tensor(value: object) -> torch.Tensor | None:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    return None


def _described(
    name: str, tensor: torch.Tensor, seen: dict[tuple[int, torch.Size], str], layer_type: str | None = None
) -> NamedTensor:
    identity = (tensor.data_ptr(), tensor.shape)
    first = seen.setdefault(identity, name) if tensor.numel() else name
    return NamedTensor(
        name=name,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        read=lambda: tensor,
        layer_type=layer_type,
        same_as=first if first != name else None,
    )
