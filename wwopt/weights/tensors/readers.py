"""Readers of values: small picklable callables for memory, files, and views of other readers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from wwopt.weights.tensors.dtypes import ITEM_SIZES, decode

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from wwopt.arrays import Floats, Values
    from wwopt.weights.tensors.tensor import Read

__all__ = [
    "Difference",
    "First",
    "Heads",
    "InArray",
    "InFile",
    "InTorch",
    "Reshaped",
    "Rows",
    "Stacked",
    "Turned",
    "WithFactors",
    "octets",
    "rows",
]

OF_NUMPY = {
    "float64",
    "float32",
    "float16",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


@dataclass(frozen=True)
class InArray:
    """Values in memory, of NumPy or of anything that converts to an array."""

    array: Any

    def __call__(self) -> Values:
        """Return the array itself."""
        return np.asarray(self.array)


@dataclass(frozen=True)
class InTorch:
    """Values of a torch tensor on any device."""

    tensor: torch.Tensor

    def __call__(self) -> Values:
        """Return a view where NumPy knows the type and the tensor is on the CPU, else a copy."""
        tensor = self.tensor.detach().cpu()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        elif str(tensor.dtype).removeprefix("torch.") not in OF_NUMPY:
            tensor = tensor.float()
        values: Values = tensor.numpy()
        return values

    def __reduce__(self) -> tuple[type[InArray], tuple[Values]]:
        """Pickle the values: torch would move the user's tensor into shared memory."""
        return InArray, (self(),)


@dataclass(frozen=True)
class InFile:
    """Values in a file, mapped into memory when called.

    Attributes
    ----------
    path : Path
        The file; the bytes from ``offset`` on, little-endian, must be known to lie within it.
    dtype : str
        Torch's name of the element type.
    shape, strides : tuple of int
        In elements; strides None for row-major order.
    """

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    def __call__(self) -> Values:
        """Map the file and return a view of it, where NumPy knows the type, else a copy."""
        extent = self._extent()
        raw = np.memmap(
            self.path, dtype=np.uint8, mode="r", offset=self.offset, shape=(extent * ITEM_SIZES[self.dtype],)
        )
        values = decode(np.asarray(raw), self.dtype)
        if self.strides is None:
            return values.reshape(self.shape)
        steps = tuple(stride * values.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(values, self.shape, steps, writeable=False)

    def _extent(self) -> int:
        """Elements from the first to the last."""
        if self.strides is None:
            return int(np.prod(self.shape, dtype=object))
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True)
class Rows:
    """Every ``step``-th of the values from ``start`` to ``stop`` along an axis."""

    read: Read
    axis: int
    start: int
    stop: int
    step: int = 1

    def __call__(self) -> Values:
        """Return a view."""
        index: list[slice] = [slice(None)] * (self.axis + 1)
        index[self.axis] = slice(self.start, self.stop, self.step)
        return self.read()[tuple(index)]


@dataclass(frozen=True)
class First:
    """The only entry along the first axis."""

    read: Read

    def __call__(self) -> Values:
        """Return a view of one dimension less."""
        only: Values = self.read()[0]
        return only


@dataclass(frozen=True)
class Heads:
    """One of the ``parts`` that each attention head keeps beside the others along the first axis."""

    read: Read
    heads: int
    parts: int
    part: int

    def __call__(self) -> Values:
        """Return a copy, the part's rows of all heads."""
        values = self.read()
        grouped = values.reshape(self.heads, self.parts, -1, *values.shape[1:])
        part: Values = grouped[:, self.part].reshape(-1, *values.shape[1:])
        return part


@dataclass(frozen=True)
class Turned:
    """Values with their axes in another order, as `numpy.transpose` takes it."""

    read: Read
    axes: tuple[int, ...]

    def __call__(self) -> Values:
        """Return a view."""
        return self.read().transpose(self.axes)


@dataclass(frozen=True)
class Reshaped:
    """Values in another shape, in row-major order."""

    read: Read
    shape: tuple[int, ...]

    def __call__(self) -> Values:
        """Return a view where there is one."""
        return self.read().reshape(self.shape)


@dataclass(frozen=True)
class Stacked:
    """A tensor as a stack of matrices, shape (k, N, M): one for each index of the axes in ``stack``."""

    read: Read
    rows: int
    columns: int
    transpose: bool

    def __call__(self) -> Values:
        """Return a view where there is one."""
        values = self.read()
        stack = np.moveaxis(values, (self.rows, self.columns), (-2, -1))
        stack = stack.reshape(-1, *stack.shape[-2:])
        return stack.swapaxes(1, 2) if self.transpose else stack

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only this part of a tensor in memory; values in a file are not pickled."""
        read = InArray(self.read()) if _is_in_memory(self.read) else self.read
        return Stacked, (read, self.rows, self.columns, self.transpose)


@dataclass(frozen=True, eq=False)
class WithFactors:
    """A stack of matrices with its rows and columns multiplied by factors."""

    read: Read
    rows: Floats
    columns: Floats

    def __call__(self) -> Values:
        """Return a copy, float64."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so
            scaled: Values = np.asarray(self.read(), np.float64) * self.rows[:, None] * self.columns
        return scaled


@dataclass(frozen=True)
class Difference:
    """Difference from the values of a base model."""

    read: Read
    base: Read

    def __call__(self) -> Values:
        """Return a copy in the more precise of the two types, at least float32."""
        values, base = self.read(), self.base()
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so
            difference: Values = np.subtract(values, base, dtype=np.result_type(values, base, np.float32))
        return difference


def _is_in_memory(read: Read) -> bool:
    while isinstance(read, (Rows, First, Heads, Reshaped)):
        read = read.read
    return isinstance(read, (InArray, InTorch))


def octets(read: Read, count: int) -> Read | None:
    """Return a reader of the ``count`` bytes that values lie in, row by row; None where that cannot be told."""
    if isinstance(read, InFile) and read.strides is None:
        return replace(read, dtype="uint8", shape=(count,))
    if isinstance(read, InTorch):
        import torch  # noqa: PLC0415  (it is there where a tensor of its is)

        return InTorch(read.tensor.detach().contiguous().view(-1).view(torch.uint8))
    if isinstance(read, InArray):
        return InArray(np.ascontiguousarray(read.array).reshape(-1).view(np.uint8))
    return None


def rows(read: Read, axis: int, start: int, stop: int, step: int = 1) -> Read:
    """Return a reader of a part along an axis; of a file it maps only the bytes of that part."""
    part = getattr(read, "rows", None)  # of what is made of several tensors, which may have rows of its own
    if axis == 0 and step == 1 and part is not None and (own := part(start, stop)) is not None:
        return cast("Read", own)
    if axis == 0 and step == 1 and isinstance(read, InFile) and read.strides is None:
        row = math.prod(read.shape[1:]) * ITEM_SIZES[read.dtype]
        return replace(read, offset=read.offset + start * row, shape=(stop - start, *read.shape[1:]))
    return Rows(read, axis, start, stop, step)
