"""Codes of quantised weights: small integers packed into words, and the numbers that they stand for in a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from wwopt.weights.tensors.readers import rows

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import Read

__all__ = ["FLOAT4", "Exponents", "Looked", "Swapped", "Unpacked", "Viewed"]

FLOAT4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)  # E2M1, by its bits
SMALLEST_EXPONENT = 127  # of the scales of microscaling formats: 2^(byte - 127)


@dataclass(frozen=True)
class Unpacked:
    """Codes of ``bits`` bits each, lowest bits first, that lie in words along an axis.

    Attributes
    ----------
    words : callable
        Reads integers of 8 or 32 bits.
    bits : int
        Of a code, 1 to 8.
    axis : int
        Axis along which the words hold consecutive codes.
    count : int
        Codes along that axis; the last word may hold more.
    order : tuple of int
        Position, within so many codes in a row, of the first, second, ... of them; empty where they lie in order.
    """

    words: Read
    bits: int
    axis: int
    count: int
    order: tuple[int, ...] = ()

    def __call__(self) -> Values:
        """Return the codes, of the type uint8."""
        packed: NDArray[Any] = np.asarray(self.words())
        packed = np.moveaxis(packed, self.axis, -1)
        octets = np.ascontiguousarray(packed, dtype=packed.dtype.newbyteorder("<")).view(np.uint8)
        codes = _split(octets, self.bits)
        if self.order:
            codes = codes.reshape(*codes.shape[:-1], -1, len(self.order))[..., list(self.order)]
            codes = codes.reshape(*codes.shape[:-2], -1)
        return cast("Values", np.moveaxis(codes[..., : self.count], -1, self.axis))

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some rows, where these lie in words of their own."""
        return None if self.axis == 0 else replace(self, words=rows(self.words, 0, start, stop))


def _split(octets: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Cut a stream of bits along the last axis into codes."""
    if 8 % bits == 0:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        parts = (octets[..., None] >> shifts) & np.uint8((1 << bits) - 1)
        return parts.reshape(*octets.shape[:-1], -1)
    stream = np.unpackbits(octets, axis=-1, bitorder="little")
    whole = stream.shape[-1] // bits
    stream = stream[..., : whole * bits].reshape(*octets.shape[:-1], whole, bits)
    return np.packbits(stream, axis=-1, bitorder="little")[..., 0]


@dataclass(frozen=True)
class Looked:
    """Numbers that codes stand for in a table."""

    codes: Read
    table: Read | tuple[float, ...]

    def __call__(self) -> Values:
        """Return the numbers, float32; NaN for codes that the table lacks."""
        known = np.asarray(self.table if isinstance(self.table, tuple) else self.table(), dtype=np.float32).ravel()
        table = np.full(256, np.nan, dtype=np.float32)
        table[: len(known)] = known[:256]
        values: Values = table[self.codes()]
        return values

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some rows."""
        return replace(self, codes=rows(self.codes, 0, start, stop))


@dataclass(frozen=True)
class Exponents:
    """Powers of two by their exponents, one byte each, which is NaN where all its bits are set (E8M0)."""

    read: Read

    def __call__(self) -> Values:
        """Return the powers, float32."""
        exponents = np.asarray(self.read())
        powers = np.ldexp(np.float32(1), exponents.astype(np.int32) - SMALLEST_EXPONENT).astype(np.float32)
        powers[exponents == 255] = np.nan
        return powers

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some rows."""
        return replace(self, read=rows(self.read, 0, start, stop))


@dataclass(frozen=True)
class Swapped:
    """Values whose last two axes are exchanged; ``stacked`` where there are others before these."""

    read: Read
    stacked: bool = False

    def __call__(self) -> Values:
        """Return a view."""
        return self.read().swapaxes(-1, -2)

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some of the matrices of a stack."""
        return replace(self, read=rows(self.read, 0, start, stop)) if self.stacked else None


@dataclass(frozen=True)
class Viewed:
    """Values in another shape."""

    read: Read
    shape: tuple[int, ...]

    def __call__(self) -> Values:
        """Return a view where there is one."""
        return self.read().reshape(self.shape)
