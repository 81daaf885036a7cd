"""Checkpoint files, hostile until proven otherwise: no code from pickles, no tensor before it is asked for."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from wwopt.weights.matrix import NamedTensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["read_checkpoint", "read_safetensors"]

SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def read_safetensors(path: Path) -> Iterator[NamedTensor]:
    """Describe the tensors of a ``.safetensors`` file from its header; each is read when asked for."""
    try:
        with safe_open(path, framework="pt") as file:
            headers = [(name, file.get_slice(name)) for name in file.keys()]  # noqa: SIM118  (not a dict)
            described = [(name, tuple(head.get_shape()), head.get_dtype()) for name, head in headers]
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    for name, shape, dtype in described:
        yield NamedTensor(name, shape, SAFETENSORS_DTYPES.get(dtype, dtype), _safetensors_reader(path, name))


def _safetensors_reader(path: Path, name: str) -> Callable[[], torch.Tensor]:
    def read() -> torch.Tensor:
        with safe_open(path, framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor

    return read


def read_checkpoint(path: Path) -> Mapping[Any, Any]:
    """Load a file written by ``torch.save`` without running any code that it carries.

    Raises
    ------
    ValueError
        The file is damaged, carries code, or holds something else than a mapping of tensors.
    """
    try:
        content = _load(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged or carries code, and wwopt runs no code from a checkpoint. "
            "Save the weights alone, `torch.save(model.state_dict(), path)`, or use safetensors. "
            f"({_first_line(error)})"
        ) from error
    except Exception as error:  # torch reports damage by many types: RuntimeError, EOFError, KeyError, ...
        raise ValueError(f"{path} is not a readable checkpoint: {_first_line(error)}") from error
    if isinstance(content, torch.Tensor):
        return {path.stem: content}
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004  (the file is at fault, not the type of an argument)
            f"{path} holds a {type(content).__name__}, not a mapping of names to tensors."
        )
    return content


def _load(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap can only be used" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=True)  # written before torch 1.6


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
