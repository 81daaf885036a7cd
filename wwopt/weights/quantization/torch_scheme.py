"""PyTorch's own schemes: integers with a scale and a zero point for the tensor, or for each index of an axis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.readers import InArray
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["describe_scheme", "scale_codes"]


def scale_codes(
    codes: NamedTensor, scale: NamedTensor | float, zero: NamedTensor | float, axis: int | None
) -> NamedTensor:
    """Describe a quantised tensor by its codes, its scales and its zero points.

    Parameters
    ----------
    codes : NamedTensor
        Integers.
    scale, zero : NamedTensor or float
        A number, or one for each index of ``axis``.
    axis : int or None
        None where there is one scale.
    """
    if codes.unusable is not None:
        return replace(codes, unusable=f"quantized, and {codes.unusable}")
    numbers = [_numbers(part, codes.shape, axis) for part in (scale, zero)]
    if numbers[0] is None or numbers[1] is None:
        reason = f"quantized, with scales or zero points that do not fit its shape {codes.shape}. Save the model again"
        return replace(codes, unusable=reason)
    read = Scaled(codes.read, codes.shape, numbers[0], numbers[1], name=codes.name)
    return replace(codes, read=read, dtype="float32", coding=describe_scheme(codes.dtype, axis))


def describe_scheme(dtype: str, axis: int | None) -> Coding:
    """Say how a tensor of PyTorch is quantised.

    >>> describe_scheme("qint8", 0).form
    'torch int8, a scale for each row'
    """
    of = "the tensor" if axis is None else "each row" if axis == 0 else f"each index of axis {axis}"
    return Coding(f"torch {dtype.removeprefix('q')}, a scale for {of}", 8, (1, 0) if axis == 0 else (0, 0))


def _numbers(part: NamedTensor | float, shape: Sequence[int], axis: int | None) -> Numbers | None:
    if not isinstance(part, NamedTensor):
        return Numbers(InArray(np.float64(part)), (1,) * len(shape), tuple(shape)) if axis is None else None
    if axis is None or not 0 <= axis < len(shape) or part.shape != (shape[axis],) or part.unusable is not None:
        return None
    counts = [size if place == axis else 1 for place, size in enumerate(shape)]
    blocks = [1 if place == axis else size for place, size in enumerate(shape)]
    return Numbers(part.read, tuple(counts), tuple(blocks))
