"""`Scaled`: codes times their scales, of which each stands for a block of the weight."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.tensors.readers import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.weights.tensors.tensor import Read

__all__ = ["Numbers", "Scaled"]

AT_ONCE = 1 << 20  # elements whose scales are spread out together


@dataclass(frozen=True)
class Numbers:
    """Numbers of which each stands for a block of a weight.

    Attributes
    ----------
    read : callable
        Reads them, in any shape.
    shape : tuple of int
        As many as there are blocks along each axis of the weight; 1 for all of an axis.
    blocks : tuple of int
        Size of a block along each axis; the last one of an axis may be smaller.
    """

    read: Read
    shape: tuple[int, ...]
    blocks: tuple[int, ...]

    def __call__(self) -> NDArray[np.float32]:
        """Return them, a number for each block, or each index of the last axis."""
        with np.errstate(over="ignore", invalid="ignore"):
            values: NDArray[np.float32] = np.asarray(self.read()).astype(np.float32).reshape(self.shape)
        return values

    def rows(self, start: int, stop: int) -> Numbers | None:
        """Return those of some rows of the weight, where these begin with a block."""
        block, size = self.blocks[0], self.shape[0]
        if size == 1:
            return self
        if start % block:
            return None
        first, last = start // block, -(-stop // block)
        shaped = rows(self.read, 0, first, last)
        return replace(self, read=shaped, shape=(last - first, *self.shape[1:]))


@dataclass(frozen=True)
class Scaled:
    """Weight ``(code - zero) * scale * factor + bias``.

    Attributes
    ----------
    codes : callable
        Reads the codes, numbers of any type.
    shape : tuple of int
        Of the codes and of the weight.
    scale : Numbers
        Scales.
    zero : Numbers, float or None
        Codes of the value 0.
    bias : Numbers or None
        What is added in the end.
    groups : callable or None
        Reads for each index of the last axis the number of its block, where the blocks are no runs.
    factor : float
        On all of them.
    name : str
        Of the layer, for messages.
    """

    codes: Read
    shape: tuple[int, ...]
    scale: Numbers
    zero: Numbers | float | None = None
    bias: Numbers | None = None
    groups: Read | None = None
    factor: float = 1.0
    name: str = ""

    def __call__(self) -> NDArray[np.float32]:
        """Return the weight, a copy in float32."""
        weight: NDArray[np.float32] = np.array(self.codes(), dtype=np.float32, order="C").reshape(self.shape)
        groups = None if self.groups is None else self._groups(self.groups, self.scale.shape[-1])
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so
            if isinstance(self.zero, float):
                weight -= np.float32(self.zero)
            elif self.zero is not None:
                _apply(np.subtract, weight, self.zero, groups)
            _apply(np.multiply, weight, self.scale, groups)
            if self.factor != 1:
                weight *= np.float32(self.factor)
            if self.bias is not None:
                _apply(np.add, weight, self.bias, groups)
        return weight

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some rows, where these begin with a block of scales."""
        scale = self.scale.rows(start, stop)
        zero = self.zero.rows(start, stop) if isinstance(self.zero, Numbers) else self.zero
        bias = None if self.bias is None else self.bias.rows(start, stop)
        lost = (scale is None, zero is None and self.zero is not None, bias is None and self.bias is not None)
        if scale is None or any(lost) or (len(self.shape) == 1 and self.groups is not None):
            return None
        codes = rows(self.codes, 0, start, stop)
        return replace(self, codes=codes, shape=(stop - start, *self.shape[1:]), scale=scale, zero=zero, bias=bias)

    def _groups(self, read: Read, count: int) -> NDArray[np.intp] | None:
        """Blocks of the last axis; None where all are 0, as some programs write where the blocks are runs."""
        groups = np.asarray(read()).astype(np.intp).ravel()
        if count > 1 and not groups.any():
            return None
        if len(groups) != self.shape[-1] or groups.min() < 0 or groups.max() >= count:
            raise ValueError(
                f"The layer {self.name} names groups of scales from {groups.min()} to {groups.max()}, of which it has "
                f"{count}: its `g_idx` is damaged. Download the file again."
            )
        return groups


def _apply(operation: np.ufunc, weight: NDArray[np.float32], numbers: Numbers, groups: NDArray[np.intp] | None) -> None:
    """Combine a weight, in place, with the numbers of its blocks."""
    values, last = numbers(), weight.ndim - 1
    for axis in range(1, last):
        values = _spread(values, numbers.blocks[axis], axis, weight.shape[axis])
    block = numbers.blocks[0] if values.shape[0] > 1 else 1
    rows_at_once = max(1, AT_ONCE // max(1, math.prod(weight.shape[1:])) // block) * block
    for start in range(0, weight.shape[0], rows_at_once):
        part = weight[start : start + rows_at_once]
        own = values if values.shape[0] == 1 else values[start // block : -(-(start + len(part)) // block)]
        own = _spread(own, block, 0, len(part))
        if groups is not None:
            own = own[..., groups]
        elif last:
            own = _spread(own, numbers.blocks[last], last, weight.shape[last])
        operation(part, own, out=part)


def _spread(values: NDArray[np.float32], block: int, axis: int, size: int) -> NDArray[np.float32]:
    """Repeat the number of each block for all indices of the block."""
    if values.shape[axis] == 1 or block == 1:
        return values
    return np.repeat(values, block, axis)[(*(slice(None) for _ in range(axis)), slice(size))]
