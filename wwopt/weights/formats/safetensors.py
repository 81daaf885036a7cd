"""Safetensors files: a JSON header, which is validated in full, and the values behind it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wwopt.weights.tensors.dtypes import ITEM_SIZES
from wwopt.weights.tensors.readers import InFile
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_safetensors", "read_sharded"]

LONGEST_HEADER = 100_000_000  # bytes, the format's own limit
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "BOOL": "bool",
    "C64": "complex64",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class _Entry:
    """Entry of the header: a tensor and its bytes, from ``start`` to ``stop``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_safetensors(path: Path) -> list[NamedTensor]:
    """Describe the tensors of a file in the order of its header; each is read when asked for.

    Raises
    ------
    ValueError
        The header is damaged, or describes values that the file does not hold.
    """
    try:
        entries, start = _entries(path)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    return [
        NamedTensor(entry.name, entry.shape, entry.dtype, InFile(path, start + entry.start, entry.dtype, entry.shape))
        for entry in entries
    ]


def read_sharded(index: Path) -> dict[str, str]:
    """Read a ``*.index.json``: for each tensor the name of the file, in the same folder, that holds it.

    Of Keras's ``*.weights.json``, which lists the files of each layer, each file of a layer is an entry.

    Raises
    ------
    ValueError
        The index is damaged, or names a file that is elsewhere or missing.
    """
    try:
        listed = json.loads(index.read_bytes())["weight_map"].items()
        files = {str(name): str(file) for name, file in listed if not isinstance(file, list)}
        files |= {f"{name} {i}": str(file) for name, several in listed if isinstance(several, list)
                  for i, file in enumerate(several)}  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is not a readable index of shards: {error!r}") from error
    for file in sorted(set(files.values())):
        if "/" in file or "\\" in file or file in ("", ".", ".."):
            raise ValueError(f"{index} names the shard {file!r}, which lies outside of its folder.")
        if not (index.parent / file).is_file():
            raise ValueError(f"{index} names the shard {file}, which is missing; download it again.")
    return files


def _entries(path: Path) -> tuple[list[_Entry], int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("the header is not an object")
    header.pop("__metadata__", None)
    entries = [_entry(name, description) for name, description in header.items()]
    _check_layout(entries, size - 8 - length)
    return entries, 8 + length


def _entry(name: str, description: Mapping[str, Any]) -> _Entry:
    shape, (start, stop) = description["shape"], description["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in [*shape, start, stop]):
        raise ValueError(f"the shape or the offsets of {name!r} are not whole numbers")
    code = description["dtype"]
    dtype = DTYPES.get(code, str(code))
    if dtype in ITEM_SIZES and stop - start != math.prod(shape) * ITEM_SIZES[dtype]:
        raise ValueError(f"{name!r} of shape {tuple(shape)} and type {code} does not fill its {stop - start} bytes")
    return _Entry(name, dtype, tuple(shape), start, stop)


def _check_layout(entries: list[_Entry], available: int) -> None:
    """Refuse overlaps, by which a small file could cause any amount of work, gaps, and ranges beyond the end."""
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.stop)):
        if entry.start != position or entry.stop < entry.start:
            raise ValueError(f"{entry.name!r} begins at {entry.start}, not at {position}")
        position = entry.stop
    if position != available:
        raise ValueError(f"{position} bytes are described, {available} are there")
