"""State dicts in memory: mappings of names to torch tensors, NumPy arrays or what converts to an array."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from wwopt.weights.formats.packed_params import packed_tensors
from wwopt.weights.quantization.torch_scheme import describe_scheme
from wwopt.weights.tensors.readers import InArray, InTorch
from wwopt.weights.tensors.tensor import NamedTensor
from wwopt.weights.tensors.tied import Identities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

__all__ = [
    "describe_array",
    "describe_packed",
    "describe_torch",
    "is_module",
    "is_tensor",
    "read_mapping",
]

LAZY = ("UninitializedParameter", "UninitializedBuffer")
UNINITIALIZED = "not initialised yet; call the model once"


def is_module(source: object) -> TypeGuard[torch.nn.Module]:
    """Whether a source is a torch.nn.Module; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def is_tensor(value: object) -> bool:
    """Whether a value is a torch tensor, a NumPy array, or converts to one, as those of JAX and TensorFlow do."""
    torch = sys.modules.get("torch")
    if isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor)):
        return True
    return all(hasattr(value, name) for name in ("__array__", "shape", "dtype"))


def read_mapping(mapping: Mapping[Any, Any]) -> Iterator[NamedTensor]:
    """Describe the tensors of a state dict; other values are passed over."""
    torch = sys.modules.get("torch")
    identities = Identities()
    for name, value in mapping.items():
        if torch is not None and isinstance(value, torch.Tensor):
            yield describe_torch(str(name), value, identities)
        elif is_tensor(value):
            yield describe_array(str(name), value, identities)
        elif torch is not None and isinstance(name, str):
            yield from describe_packed(name, value, identities)


def describe_packed(name: str, packed: object, identities: Identities) -> Iterator[NamedTensor]:
    """Describe the weights and the bias that a layer which PyTorch quantised keeps in one object, if this is one."""
    import torch  # noqa: PLC0415  (it is there where an object of its is)

    if isinstance(packed, (tuple, torch.ScriptObject)):
        for key, tensor in packed_tensors(f"{name}.", packed, lambda value: isinstance(value, torch.Tensor)):
            yield describe_torch(key, tensor, identities)


def describe_array(name: str, array: Any, identities: Identities) -> NamedTensor:
    """Describe a NumPy array, or one of another library, which is converted when it is read."""
    shape = tuple(int(size) for size in array.shape)
    dtype: str = getattr(array.dtype, "name", str(array.dtype))
    identity: tuple[object, ...] = (id(array),)
    if isinstance(array, np.ndarray):
        address, _ = array.__array_interface__["data"]
        identity = (address, shape, array.strides, dtype)
    same_as = identities.first_name(identity, name) if 0 not in shape else None
    return NamedTensor(name, shape, dtype, InArray(array), same_as=same_as)


def describe_torch(
    name: str, tensor: torch.Tensor, identities: Identities, layer_type: str | None = None
) -> NamedTensor:
    """Describe a torch tensor on any device."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if type(tensor).__name__ in LAZY:
        return NamedTensor(name, (0, 0), dtype, InArray(np.empty((0, 0))), layer_type, unusable=UNINITIALIZED)
    unusable, shape = _why_unusable(tensor), tuple(tensor.shape)
    same_as = None
    if unusable is None and tensor.numel():
        identity = (tensor.device, tensor.data_ptr(), shape, tensor.stride(), dtype)
        same_as = identities.first_name(identity, name)
    coding = None
    if tensor.is_quantized:
        rows = str(tensor.qscheme()).startswith("torch.per_channel")
        coding, dtype = describe_scheme(dtype, tensor.q_per_channel_axis() if rows else None), "float32"
    return NamedTensor(name, shape, dtype, InTorch(tensor.detach()), layer_type, same_as, unusable, coding=coding)


def _why_unusable(tensor: torch.Tensor) -> str | None:
    if tensor.device.type == "meta":
        return "on the meta device, without values"
    if str(tensor.layout) != "torch.strided":
        return f"of layout {str(tensor.layout).removeprefix('torch.')}"
    if type(tensor).__name__ == "DTensor":
        return "spread over several devices; gather a full state dict and analyse that"
    return None
