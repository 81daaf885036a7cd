"""GGUF files of llama.cpp: a header, read and checked in full, and values, dequantised one tensor at a time."""

from __future__ import annotations

import math
import mmap
import re
import struct
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.dtypes import ITEM_SIZES
from wwopt.weights.tensors.readers import InArray, InFile
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import Read

__all__ = ["InBlocks", "Unpermuted", "is_gguf", "read_gguf"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_DIMENSIONS = 4
LONGEST_NAME = 1 << 16  # bytes
ALIGNMENT, ARCHITECTURE = "general.alignment", "general.architecture"
LLAMA, HEADS, KEY_HEADS = f"{ARCHITECTURE}=llama", "llama.attention.head_count", "llama.attention.head_count_kv"
PERMUTED = re.compile(r"blk\.\d+\.attn_(?P<part>[qk])\.weight")
WITHIN = 32  # values of a larger block have scales of their own
NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, ARRAY = 8, 9
SMALLEST_ENTRY = 13  # bytes of a key without a name and a value of a byte; an entry of a tensor has more
PLAIN = {0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64", 30: "bfloat16"}


class _Blocks(NamedTuple):
    """A quantised type: its name, the values of a block, and the bytes that these take."""

    name: str
    values: int
    nbytes: int


QUANTISED = {
    2: _Blocks("Q4_0", 32, 18), 3: _Blocks("Q4_1", 32, 20), 6: _Blocks("Q5_0", 32, 22), 7: _Blocks("Q5_1", 32, 24),
    8: _Blocks("Q8_0", 32, 34), 10: _Blocks("Q2_K", 256, 84), 11: _Blocks("Q3_K", 256, 110),
    12: _Blocks("Q4_K", 256, 144), 13: _Blocks("Q5_K", 256, 176), 14: _Blocks("Q6_K", 256, 210),
    16: _Blocks("IQ2_XXS", 256, 66), 17: _Blocks("IQ2_XS", 256, 74), 18: _Blocks("IQ3_XXS", 256, 98),
    19: _Blocks("IQ1_S", 256, 50), 20: _Blocks("IQ4_NL", 32, 18), 21: _Blocks("IQ3_S", 256, 110),
    22: _Blocks("IQ2_S", 256, 82), 23: _Blocks("IQ4_XS", 256, 136), 29: _Blocks("IQ1_M", 256, 56),
    34: _Blocks("TQ1_0", 256, 54), 35: _Blocks("TQ2_0", 256, 66), 39: _Blocks("MXFP4", 32, 17),
    40: _Blocks("NVFP4", 64, 36),
}  # fmt: skip


@dataclass(frozen=True)
class InBlocks:
    """Quantised values in a file, dequantised when called.

    Attributes
    ----------
    path : Path
        The file; the bytes from ``offset`` on must be known to lie within it.
    kind : int
        GGUF's number of the type.
    shape : tuple of int
        Of the values; the last axis a multiple of a block.
    """

    path: Path
    offset: int
    kind: int
    shape: tuple[int, ...]

    def __call__(self) -> Values:
        """Map the blocks and return their values in float32."""
        from gguf import GGMLQuantizationType  # noqa: PLC0415  (an extra)
        from gguf.quants import dequantize  # noqa: PLC0415

        blocks = (*self.shape[:-1], self._row())
        raw = np.memmap(self.path, dtype=np.uint8, mode="r", offset=self.offset, shape=blocks)
        with np.errstate(all="ignore"):  # what is not finite stays so
            values: Values = dequantize(np.asarray(raw), GGMLQuantizationType(self.kind))
        return values.reshape(self.shape)

    def rows(self, start: int, stop: int) -> InBlocks:
        """Return a reader of a part along the first axis, which dequantises no other."""
        row = math.prod(self.shape[1:-1]) * self._row()
        return replace(self, offset=self.offset + start * row, shape=(stop - start, *self.shape[1:]))

    def _row(self) -> int:
        form = QUANTISED[self.kind]
        return self.shape[-1] // form.values * form.nbytes


@dataclass(frozen=True)
class Unpermuted:
    """Rows in the order of the original: llama.cpp takes turns between the two halves of each head of a Llama."""

    read: Read
    heads: int

    def __call__(self) -> Values:
        """Return a copy."""
        values = self.read()
        pairs = values.reshape(self.heads, -1, 2, values.shape[1])
        return pairs.swapaxes(1, 2).reshape(values.shape)


@dataclass(frozen=True)
class _GgufEntry:
    """Tensor of the header; ``nbytes`` None where its type, and so its size, is not known."""

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    nbytes: int | None


def is_gguf(path: Path) -> bool:
    """Whether a file begins as those of GGUF do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_gguf(path: Path) -> list[NamedTensor]:
    """Describe the tensors of a file in the order of its header; each is read when asked for.

    Raises
    ------
    ValueError
        The header is damaged, or describes values that the file does not hold.
    ImportError
        Weights are quantised, and gguf is not installed.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            header = _Header(content)
            entries, start = header.entries()
    except (ValueError, struct.error, OverflowError) as error:
        raise ValueError(f"{path} is not a readable GGUF file: {error}") from error
    quantised = next((QUANTISED[entry.kind].name for entry in entries if entry.kind in QUANTISED), None)
    if quantised is not None and find_spec("gguf") is None:
        raise ImportError(f"{path} has weights of type {quantised}, which need gguf. Run `pip install 'wwopt[gguf]'`.")
    return [_in_order(_described(path, entry, start), header.values) for entry in entries]


def _in_order(tensor: NamedTensor, values: Mapping[str, int]) -> NamedTensor:
    """Undo the order of the rows in which a Llama's queries and keys are kept."""
    match = PERMUTED.fullmatch(tensor.name)
    heads = values.get(HEADS if match and match["part"] == "q" else KEY_HEADS) or values.get(HEADS, 0)
    if match is None or values.get(LLAMA) is None or heads < 1 or len(tensor.shape) != 2:
        return tensor
    return tensor if tensor.shape[0] % (2 * heads) else replace(tensor, read=Unpermuted(tensor.read, heads))


def _described(path: Path, entry: _GgufEntry, start: int) -> NamedTensor:
    is_table = "embd" in entry.name and len(entry.shape) == 2
    layer_type = "embedding" if is_table else None
    dtype = PLAIN.get(entry.kind)
    if dtype is not None:
        read = InFile(path, start + entry.start, dtype, entry.shape)
        return NamedTensor(entry.name, entry.shape, dtype, read, layer_type)
    if entry.kind in QUANTISED:
        blocks = InBlocks(path, start + entry.start, entry.kind, entry.shape)
        kind = QUANTISED[entry.kind].name
        bits = next((int(digit) for digit in kind if digit.isdigit()), 8)
        coding = Coding(f"GGUF, {kind}", bits, (1, min(QUANTISED[entry.kind].values, WITHIN)))
        return NamedTensor(entry.name, entry.shape, "float32", blocks, layer_type, coding=coding)
    return NamedTensor(entry.name, entry.shape, f"{entry.kind} of GGUF, unknown", InArray(np.empty((0, 0))))


class _Header:
    """Header in a mapped file; nothing is read beyond its end, and no count is believed that it could not hold."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.size = len(content)
        self.position = len(MAGIC)
        self.values: dict[str, int] = {}  # of the keys that matter here

    def entries(self) -> tuple[list[_GgufEntry], int]:
        """Return the tensors, and where their values begin."""
        version = self.number("<I")
        if version not in VERSIONS:
            if version in [int.from_bytes(known.to_bytes(4, "little"), "big") for known in VERSIONS]:
                raise ValueError("it is big-endian; convert it: `gguf-convert-endian FILE little`")
            raise ValueError(f"its version is {version}, and only {' and '.join(map(str, VERSIONS))} are known")
        tensors, keys = self.count(SMALLEST_ENTRY), self.count(SMALLEST_ENTRY)
        if not tensors:
            raise ValueError("it lists no tensor; some hold a vocabulary alone")
        alignment = self._alignment(keys)
        entries = [self._entry() for _ in range(tensors)]
        start = -(-self.position // alignment) * alignment
        self._check(entries, start)
        return entries, start

    def number(self, form: str) -> int:
        """Read a number."""
        end = self.position + struct.calcsize(form)
        if end > self.size:
            raise ValueError("it ends within its header")
        (value,) = struct.unpack_from(form, self.content, self.position)
        self.position = end
        return int(value) if form[-1] not in "fd" else 0

    def count(self, smallest: int) -> int:
        """Read a count of entries that take at least so many bytes each."""
        count = self.number("<Q")
        if count * smallest > self.size - self.position:
            raise ValueError(f"{count} entries cannot lie in the {self.size - self.position} bytes that are left")
        return count

    def text(self) -> str:
        """Read a name."""
        start, end = self.skip_text()
        if end - start > LONGEST_NAME:
            raise ValueError(f"a name takes {end - start} bytes")
        return self.content[start:end].decode("utf-8", "replace")

    def skip_text(self) -> tuple[int, int]:
        """Pass over a text, and return where it begins and ends."""
        length = self.count(1)
        start = self.position
        self.position += length
        return start, self.position

    def _alignment(self, keys: int) -> int:
        """Read the keys and values before the tensors; few of them matter here."""
        for _ in range(keys):
            key, kind = self.text(), self.number("<I")
            if key == ARCHITECTURE and kind == TEXT:
                key = f"{key}={self.text()}"
                self.values[key] = 1
                continue
            value = self._value(kind)
            if key in (ALIGNMENT, HEADS, KEY_HEADS) and kind in NUMBERS:
                self.values[key] = value
        alignment = self.values.get(ALIGNMENT, 32)
        if not 0 < alignment <= 1 << 20:
            raise ValueError(f"`{ALIGNMENT}` is {alignment}")
        return alignment

    def _value(self, kind: int) -> int:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == TEXT:
            self.skip_text()
        elif kind == ARRAY:
            self._skip_array()
        else:
            raise ValueError(f"a value has the type {kind}, which is not known")
        return 0

    def _skip_array(self) -> None:
        kind = self.number("<I")
        if kind in NUMBERS:
            width = struct.calcsize(NUMBERS[kind])
            count = self.count(width)
            self.position += count * width
        elif kind == TEXT:
            for _ in range(self.count(8)):
                self.skip_text()
        else:
            raise ValueError(f"an array has the type {kind}, which is not known")

    def _entry(self) -> _GgufEntry:
        name, dimensions = self.text(), self.number("<I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"{name!r} has {dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))[::-1]
        kind, start = self.number("<I"), self.number("<Q")
        count = math.prod(shape)
        if kind in PLAIN:
            return _GgufEntry(name, shape, kind, start, count * ITEM_SIZES[PLAIN[kind]])
        form = QUANTISED.get(kind)
        if form is None:
            return _GgufEntry(name, shape, kind, start, None)
        if not shape or shape[-1] % form.values:
            raise ValueError(f"{name!r} of shape {shape} is not made of blocks of {form.values} values ({form.name})")
        return _GgufEntry(name, shape, kind, start, count // form.values * form.nbytes)

    def _check(self, entries: list[_GgufEntry], start: int) -> None:
        """Refuse overlaps, by which a small file could cause any amount of work, and ranges beyond the end."""
        ordered = sorted(entries, key=lambda entry: (entry.start, entry.nbytes or 0))
        for one, following in pairwise(ordered):
            if one.start + (one.nbytes or 0) > following.start:
                raise ValueError(f"{one.name!r} and {following.name!r} overlap")
        for entry in entries:
            if start + entry.start + (entry.nbytes or 0) > self.size:
                raise ValueError(f"{entry.name!r} lies beyond the end of the file, which is cut off or damaged")
