"""How a tensor becomes matrices: convolutions sliced, long side first, tied weights once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wwopt.weights.matrix import NamedTensor, WeightMatrix, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

__all__ = ["layer_name", "to_matrices"]

WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
CONVOLUTIONS = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
EMBEDDING_WORDS = ("embed", "wte", "wpe")
FLOATING = ("float", "bfloat")


def to_matrices(tensors: Iterable[NamedTensor]) -> Weights:
    """Turn a source's tensors into stacks of matrices.

    Vectors (biases, the scales of a normalisation) hold no matrix and are passed over; every tensor of
    two or more dimensions becomes a `WeightMatrix` or an entry of ``skipped``.
    """
    matrices: dict[str, WeightMatrix] = {}
    skipped: list[tuple[str, str]] = []
    for tensor in tensors:
        if len(tensor.shape) < 2:
            continue
        name = layer_name(tensor.name)
        reason = _reason_to_skip(tensor)
        if reason is None and name in matrices:
            raise ValueError(f"Two tensors of the source come out as the layer {name!r}; rename one of them.")
        if reason is None:
            matrices[name] = _to_matrix(name, tensor)
        else:
            skipped.append((name, reason))
    return Weights(tuple(matrices.values()), tuple(skipped))


def layer_name(tensor_name: str) -> str:
    """Dotted path of the module that owns a tensor, without the prefixes that wrappers add.

    >>> layer_name("module.layer1.0.conv1.weight")
    'layer1.0.conv1'
    """
    for wrapper in WRAPPERS:
        if tensor_name.startswith(wrapper):
            return layer_name(tensor_name.removeprefix(wrapper))
        tensor_name = tensor_name.replace("." + wrapper, ".")
    return tensor_name.removesuffix(".weight")


def _reason_to_skip(tensor: NamedTensor) -> str | None:
    if tensor.same_as is not None:
        return f"tied to {layer_name(tensor.same_as)}, counted there"
    if 0 in tensor.shape:
        return f"empty, shape {tuple(tensor.shape)}"
    if not tensor.dtype.startswith(FLOATING):
        return f"not a weight: dtype {tensor.dtype}"
    if len(tensor.shape) > max(CONVOLUTIONS):
        return f"{len(tensor.shape)} dimensions; layers of up to {max(CONVOLUTIONS)} are known"
    return None


def _to_matrix(name: str, tensor: NamedTensor) -> WeightMatrix:
    rows, columns, *window = tensor.shape
    layer_type = tensor.layer_type or _guess_type(name, len(tensor.shape))
    return WeightMatrix(
        name=name,
        layer_type=layer_type,
        k=math.prod(window),
        N=max(rows, columns),
        M=min(rows, columns),
        read=_stacked(tensor.read, transpose=rows < columns),
        scale=math.sqrt(0.5) if layer_type == "conv2d" else 1.0,
    )


def _guess_type(name: str, ndim: int) -> str:
    if ndim in CONVOLUTIONS:
        return CONVOLUTIONS[ndim]
    return "embedding" if any(word in name.lower() for word in EMBEDDING_WORDS) else "dense"


def _stacked(read: Callable[[], torch.Tensor], *, transpose: bool) -> Callable[[], torch.Tensor]:
    def read_stack() -> torch.Tensor:
        tensor = read()
        stack = tensor.reshape(*tensor.shape[:2], -1).permute(2, 0, 1)
        return stack.transpose(1, 2) if transpose else stack

    return read_stack
