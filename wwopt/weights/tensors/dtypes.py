"""Element types: their sizes, and decoding of bfloat16 and 8-bit floats, which NumPy lacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Values

__all__ = ["FLOAT8", "ITEM_SIZES", "decode", "is_weight_dtype"]

ITEM_SIZES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32", "complex32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 1),
}


@dataclass(frozen=True)
class _Float8:
    """Floating-point format of eight bits: sign, exponent, mantissa."""

    mantissa: int
    bias: int
    not_a_number: tuple[int, ...]
    infinity: tuple[int, ...] = ()


FLOAT8 = {
    "float8_e4m3fn": _Float8(3, 7, (0x7F, 0xFF)),
    "float8_e5m2": _Float8(2, 15, (0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF), (0x7C, 0xFC)),
    "float8_e4m3fnuz": _Float8(3, 8, (0x80,)),
    "float8_e5m2fnuz": _Float8(2, 16, (0x80,)),
}
WEIGHTS = {"float64", "float32", "float16", "bfloat16", *FLOAT8}


def is_weight_dtype(dtype: str) -> bool:
    """Whether a type is one of weights: real floating point, but not a format of scales alone.

    Examples
    --------
    >>> is_weight_dtype("bfloat16"), is_weight_dtype("int8")
    (True, False)
    """
    return dtype in WEIGHTS


def decode(raw: NDArray[np.uint8], dtype: str) -> Values:
    """Decode little-endian bytes: a view where NumPy has the type and they are aligned, else an exact copy.

    Parameters
    ----------
    raw : array, shape (..., n)
        Contiguous bytes; ``n`` a multiple of the item size.
    dtype : str
        One of the types of `is_weight_dtype`, or another of NumPy's, or ``float8_e8m0fnu``.

    Examples
    --------
    >>> decode(np.array([0x80, 0x3F], dtype=np.uint8), "bfloat16").tolist()
    [1.0]
    """
    if dtype == "bfloat16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype in FLOAT8:
        return _float8_values(dtype)[raw]
    if dtype == "float8_e8m0fnu":  # of scales alone
        return np.where(raw == 255, np.float32(np.nan), np.ldexp(np.float32(1), raw.astype(np.int32) - 127))
    values: Values = raw.view(np.dtype(dtype).newbyteorder("<"))
    return values if values.flags.aligned else values.copy()


@cache
def _float8_values(dtype: str) -> NDArray[np.float32]:
    """All 256 values of an eight-bit format, in the order of their bits."""
    form = FLOAT8[dtype]
    bits = np.arange(256)
    exponent = (bits & 0x7F) >> form.mantissa
    fraction = (bits & (1 << form.mantissa) - 1) / (1 << form.mantissa)
    normal = (1 + fraction) * 2.0 ** (exponent - form.bias)
    magnitude = np.where(exponent > 0, normal, fraction * 2.0 ** (1 - form.bias))
    values = np.where(bits & 0x80, -magnitude, magnitude).astype(np.float32)
    values[list(form.infinity)] = np.copysign(np.inf, values[list(form.infinity)])
    values[list(form.not_a_number)] = np.nan
    return values
