"""Values of ONNX's tensors: in the model, beside it or in memory, and what its quantised ones stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.tensors.dtypes import FLOAT8, ITEM_SIZES, decode
from wwopt.weights.tensors.readers import InArray, InFile
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Values
    from wwopt.weights.formats.onnx_graph import Constant, HeldValues
    from wwopt.weights.tensors.tensor import Read

__all__ = ["CODES", "Decoded", "Dequantized", "InBlocksOfBits", "InMemory", "check_external", "describe_constant"]

HALVES = ("int4", "uint4")  # two in a byte
CODES = (*HALVES, *(dtype for dtype in ITEM_SIZES if "int" in dtype or dtype in FLOAT8))  # of quantised weights
ELSEWHERE = "in a file beside the model, whose path is not known; give the path of the model"
NOTHING = InArray(np.empty((0, 0)))

Octets = Callable[[int, int], "Read"]  # reads the bytes from one position to another


@dataclass(frozen=True)
class InMemory:
    """Bytes of a model in memory."""

    octets: Any

    def __call__(self) -> Values:
        """Return a view."""
        octets: Values = self.octets
        return octets


@dataclass(frozen=True)
class Decoded:
    """Values from their bytes, packed numbers, or packed varints."""

    octets: Read
    form: str
    dtype: str
    shape: tuple[int, ...]
    label: str

    def __call__(self) -> Values:
        """Return a view where NumPy has the type."""
        raw = np.ascontiguousarray(self.octets()).view(np.uint8)
        values: Any
        if self.form == "varint":
            raw = _low_bytes(raw, ITEM_SIZES.get(self.dtype, 1))
        values = _halves(raw, self.dtype) if self.dtype in HALVES else decode(raw, self.dtype)
        count = math.prod(self.shape)
        if values.size < count:
            raise ValueError(f"{self.label} is damaged: it holds {values.size} of its {count} values")
        shaped: Values = values[:count].reshape(self.shape)
        return shaped


def _low_bytes(raw: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Decode varints, and keep the bytes of each that its type has."""
    ends = np.flatnonzero(raw < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    place = np.arange(ends[-1] + 1 if ends.size else 0) - np.repeat(starts, ends - starts + 1)
    bits = (raw[: place.size] & np.uint8(0x7F)).astype(np.uint64) << (7 * place % 64).astype(np.uint64)
    numbers = np.add.reduceat(bits, starts) if ends.size else np.empty(0, np.uint64)
    low: NDArray[np.uint8] = np.ascontiguousarray(numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :size])
    return low.reshape(-1)


def _halves(raw: NDArray[np.uint8], dtype: str) -> NDArray[np.int8]:
    """Decode two values from each byte, the lower half first."""
    halves = np.stack([raw & 0xF, raw >> 4], axis=-1).reshape(-1).astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8) if dtype == "int4" else halves


@dataclass(frozen=True)
class Dequantized:
    """Values ``(q - zero) scale``.

    Attributes
    ----------
    scale, zero : callable
        One value, one for each index of ``axis``, or one for each block of ``block`` values along it.
    """

    read: Read
    scale: Read
    zero: Read | None
    axis: int
    block: int = 0

    def __call__(self) -> Values:
        """Return the values in float32."""
        codes = self.read()
        values: Values = codes.astype(np.float32)
        with np.errstate(all="ignore"):  # what is not finite stays so
            if self.zero is not None:
                values -= self._spread(self.zero(), codes.shape)
            values *= self._spread(self.scale(), codes.shape)
        return values

    def _spread(self, part: Values, shape: tuple[int, ...]) -> Values:
        part = part.astype(np.float32)
        if part.size == 1:
            return part.reshape(())
        if self.block and part.ndim == len(shape):
            return np.repeat(part, self.block, axis=self.axis).take(range(shape[self.axis]), axis=self.axis)
        return part.reshape([-1 if axis == self.axis % len(shape) else 1 for axis in range(len(shape))])


@dataclass(frozen=True)
class InBlocksOfBits:
    """Weight of ONNX Runtime's ``MatMulNBits``: rows of blocks, each with a scale and perhaps a zero point.

    Attributes
    ----------
    octets : callable
        Reads the codes, shape (rows, blocks, bytes).
    scale, zero : callable
        Scales, a row after the other; zero points packed like the codes, or as floats.
    columns, bits, block : int
        Width of the matrix, bits of a code, codes of a block.
    """

    octets: Read
    scale: Read
    zero: Read | None
    columns: int
    bits: int
    block: int

    def __call__(self) -> Values:
        """Return the matrix, shape (rows, columns), in float32."""
        packed = self.octets()
        rows, blocks = packed.shape[:2]
        codes = self._unpacked(packed.reshape(rows, -1)).reshape(rows, blocks, -1)[:, :, : self.block]
        zero: Values | float = float(1 << self.bits - 1)
        if self.zero is not None:
            stored = self.zero()
            zeros = self._unpacked(stored.reshape(rows, -1)) if stored.dtype == np.uint8 else stored.reshape(rows, -1)
            zero = zeros[:, :blocks, None].astype(np.float32)
        with np.errstate(all="ignore"):
            values = (codes.astype(np.float32) - zero) * self.scale().reshape(rows, blocks, 1).astype(np.float32)
        matrix: Values = values.reshape(rows, -1)[:, : self.columns]
        return matrix

    def _unpacked(self, packed: Any) -> NDArray[np.uint8]:
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        parts: NDArray[np.uint8] = packed[..., None] >> shifts & np.uint8((1 << self.bits) - 1)
        return parts.reshape(*packed.shape[:-1], -1)


def describe_constant(constant: Constant, source: Path | bytes) -> NamedTensor:
    """Describe a tensor of a graph, which is read when asked for.

    Parameters
    ----------
    constant : Constant
        Any tensor.
    source : Path or bytes
        The model that holds it.

    Raises
    ------
    ValueError
        Its values are fewer than its shape claims, or lie outside of the model's folder.
    """
    name, shape, dtype = constant.name, constant.shape, constant.dtype
    if dtype not in ITEM_SIZES and dtype not in HALVES:
        return NamedTensor(name, shape, dtype, NOTHING)
    if constant.external and not isinstance(source, Path):
        return NamedTensor(name, shape, dtype, NOTHING, unusable=ELSEWHERE)
    count = math.prod(shape)
    needed = (count + 1) // 2 if dtype in HALVES else count * ITEM_SIZES[dtype]
    if constant.external and isinstance(source, Path):
        path, start, stop = _external(constant, source, needed)
        read: Read = InFile(path, start, "uint8", (needed,))
        if stop - start < needed:
            raise ValueError(f"{name!r} of shape {shape} needs {needed} bytes, {path.name} has {max(0, stop - start)}")
        return NamedTensor(name, shape, dtype, Decoded(read, "raw", dtype, shape, name))
    if constant.values is None:
        reason = None if count == 0 else "without values in the file"
        return NamedTensor(name, shape, dtype, NOTHING, unusable=reason)
    held = constant.values.stop - constant.values.start
    least = (count + 1) // 2 if constant.values.form == "varint" else needed
    if held < least or (constant.values.form not in ("raw", "varint", dtype)):
        raise ValueError(f"{name!r} of shape {shape} and type {dtype} does not fill its {held} bytes")
    label = f"{name!r} in {source if isinstance(source, Path) else 'the model'}"
    read = Decoded(_octets(constant.values, source), constant.values.form, dtype, shape, label)
    return NamedTensor(name, shape, dtype, read)


def _octets(values: HeldValues, source: Path | bytes) -> Read:
    if isinstance(source, Path):
        return InFile(source, values.start, "uint8", (values.stop - values.start,))
    return InMemory(np.frombuffer(source, np.uint8, values.stop - values.start, values.start))


def _external(constant: Constant, model: Path, needed: int) -> tuple[Path, int, int]:
    """Locate values in a file beside the model: the file, and where they begin and end."""
    location = constant.external.get("location", "")
    parts = PurePosixPath(location.replace("\\", "/"))
    if not location or parts.is_absolute() or ".." in parts.parts or ":" in location:
        raise ValueError(f"{constant.name!r} lies in {location!r}, which is outside of the model's folder")
    path = model.parent / parts
    if not path.is_file():
        raise ValueError(f"its external data {location!r} are missing; they belong beside the model")
    size = path.stat().st_size
    start = _number(constant, "offset", 0)
    stop = min(size, start + _number(constant, "length", needed))
    return path, start, stop


def _number(constant: Constant, key: str, default: int) -> int:
    text = constant.external.get(key, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{constant.name!r} has the {key} {text!r}")
    return int(text) if text else default


def check_external(constants: Iterable[Constant]) -> None:
    """Refuse values that overlap in a file beside the model, by which a small file could cause any amount of work.

    Raises
    ------
    ValueError
        Two tensors overlap; those that are the same bytes do not.
    """
    placed = {}
    for one in constants:
        if one.external and one.dtype in ITEM_SIZES:
            start = _number(one, "offset", 0)
            size = math.prod(one.shape) * ITEM_SIZES[one.dtype]
            placed[one.external.get("location", ""), start, start + size] = one.name
    for (file, _, stop), (other, start, end) in pairwise(sorted(placed)):
        if file == other and start < stop and end > start:
            raise ValueError(f"{placed[other, start, end]!r} overlaps another tensor in its external data")
