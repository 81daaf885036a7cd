"""Packed weights of compressed-tensors: integers of one to eight bits in 32-bit words, or four-bit floats in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.quantization.bundle import Bundle, Restored, matrix_block, numbers_of
from wwopt.weights.quantization.codes import Unpacked
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding

if TYPE_CHECKING:
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["restore_packed"]

WORD = 32  # bits


def restore_packed(bundle: Bundle) -> Restored | None:
    """Restore the integers of a ``weight_packed``; None where the codes are something else."""
    stem, codes = bundle.stem("weight_packed"), bundle.codes
    if stem is None or codes.dtype not in ("int32", "uint32") or len(codes.shape) < 2 or 0 in codes.shape:
        return None
    scale = bundle.need(f"{stem}weight_scale", "its scales")
    shape = _shape(bundle, bundle.need(f"{stem}weight_shape", "its shape"))
    bits = _bits(bundle, shape)
    told = (*(None for _ in shape[1:]), bundle.whole("group_size"))
    numbers = numbers_of(scale.read, scale.shape, shape, told)
    if numbers is None:
        raise bundle.unfit(scale, f"one for each row or group of a weight of shape {shape}")
    parts = {scale.name: "its scales", f"{stem}weight_shape": "its shape"}
    zero = bundle.may(f"{stem}weight_zero_point")
    groups = bundle.may(f"{stem}weight_g_idx")
    parts |= {zero.name: "its zero points"} if zero else {}
    parts |= {groups.name: "the groups of its inputs"} if groups else {}
    parts |= {
        name: "of its inputs"
        for leaf in ("input_global_scale", "input_scale")
        if (name := f"{stem}{leaf}") in bundle.others
    }
    name, middle = f"{stem}weight", float(1 << (bits - 1))
    read = Scaled(
        Unpacked(codes.read, bits, len(shape) - 1, shape[-1]),
        shape,
        numbers,
        middle if zero is None else _zeros(bundle, zero, numbers, shape, bits),
        groups=groups.read if groups is not None and groups.shape == shape[-1:] else None,
        name=name,
    )
    kind = (
        f"groups of {numbers.blocks[-1]}"
        if numbers.shape[-1] > 1
        else "a scale for each row"
        if numbers.shape[0] > 1
        else "a scale for the tensor"
    )
    return Restored(
        name, shape, read, Coding(f"compressed-tensors, {bits} bits, {kind}", bits, matrix_block(numbers.blocks)), parts
    )


def _shape(bundle: Bundle, tensor: NamedTensor) -> tuple[int, ...]:
    if tensor.shape != (len(bundle.codes.shape),):
        raise bundle.unfit(tensor, f"{len(bundle.codes.shape)} numbers")
    shape = tuple(int(size) for size in np.asarray(tensor.read()))
    if shape[:-1] != bundle.codes.shape[:-1] or shape[-1] < 1:
        raise bundle.unfit(tensor, f"the same rows, not the values {shape}")
    return shape


def _bits(bundle: Bundle, shape: tuple[int, ...]) -> int:
    fitting = [bits for bits in range(1, 9) if -(-shape[-1] * bits // WORD) == bundle.codes.shape[-1]]
    told = bundle.whole("num_bits", "bits")
    if not fitting:
        raise bundle.unfit(bundle.others[f"{bundle.stem('weight_packed')}weight_shape"], f"what fits it, not {shape}")
    return told if told in fitting else 4 if 4 in fitting else fitting[0]


def _zeros(bundle: Bundle, zero: NamedTensor, scale: Numbers, shape: tuple[int, ...], bits: int) -> Numbers:
    """Zero points, which are packed along the rows, or plain ones of a scale's shape."""
    if zero.dtype in ("int32", "uint32") and zero.shape == (*shape[:-2], -(-shape[-2] * bits // WORD), scale.shape[-1]):
        return Numbers(Unpacked(zero.read, bits, len(shape) - 2, shape[-2]), scale.shape, scale.blocks)
    raise bundle.unfit(zero, "as many as there are scales, packed along the rows")
