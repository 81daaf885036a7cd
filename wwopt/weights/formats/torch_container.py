"""Containers of ``torch.save`` and ``torch.jit.save``: a pickle and storages, read without running code."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wwopt.weights.formats.pickle_stubs import CarriesCode, Storage
from wwopt.weights.formats.unpickler import unpickle
from wwopt.weights.tensors.dtypes import ITEM_SIZES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TorchContainer", "locate", "read_container", "read_text"]

STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "UntypedStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LONGEST_TEXT = 1 << 28  # bytes of a pickle or a configuration


@dataclass(frozen=True)
class TorchContainer:
    """Content of a file: the unpickled object, inert, and offset and size in bytes of each storage."""

    content: object
    storages: dict[str, tuple[int, int]]


def read_container(path: Path) -> TorchContainer:
    """Read the pickled object of a file and locate its storages; the values stay in the file.

    Raises
    ------
    ValueError
        The file is damaged, carries code, or is something else.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except CarriesCode as error:
        raise ValueError(
            f"{path} carries code ({error}), and wwopt runs no code from a checkpoint. "
            "Save the weights alone, `torch.save(model.state_dict(), path)`, or use safetensors."
        ) from error
    except Exception as error:  # what is damaged can break anywhere
        raise ValueError(f"{path} is damaged or not a checkpoint: {_first_line(error)}") from error


def _read_zip(path: Path) -> TorchContainer:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        root = next((name.removesuffix("data.pkl") for name in entries if name.endswith("data.pkl")), None)
        if root is None:
            raise ValueError("the archive holds no `data.pkl`")
        order = entries.get(f"{root}byteorder")
        if order is not None and read_text(file, order) == b"big":
            raise ValueError("it was written on a big-endian machine; load and save it there as safetensors")
        content = unpickle(io.BytesIO(read_text(file, entries[f"{root}data.pkl"])), _storage)
        prefix = f"{root}data/"
        storages = {
            name.removeprefix(prefix): locate(file, info) for name, info in entries.items() if name.startswith(prefix)
        }
    return TorchContainer(content, storages)


def read_text(file: io.BufferedReader, info: zipfile.ZipInfo) -> bytes:
    """Read an entry that describes the values; compressed ones are refused, since they could expand to any size."""
    start, size = locate(file, info)
    if size > LONGEST_TEXT:
        raise ValueError(f"{info.filename} alone has {size} bytes")
    file.seek(start)
    content = file.read(size)
    if zlib.crc32(content) != info.CRC:
        raise ValueError(f"{info.filename} does not agree with its checksum")
    return content


def locate(file: io.BufferedReader, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Return offset and size of an uncompressed entry of an archive."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise ValueError(f"{info.filename} is not where the directory says")
    start = info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if start + info.file_size > file.seek(0, io.SEEK_END):
        raise ValueError(f"{info.filename} goes on beyond the end of the file")
    return start, info.file_size


def _read_legacy(path: Path) -> TorchContainer:
    """Read the format before torch 1.6: four pickles, the keys of the storages, then their values in that order."""
    size = path.stat().st_size
    with path.open("rb") as file:
        pickles = _Bounded(file, size)
        if unpickle(pickles, _storage) != LEGACY_MAGIC:
            raise ValueError("it does not begin as torch's files do")
        unpickle(pickles, _storage), unpickle(pickles, _storage)
        found: dict[str, Storage] = {}

        def remember(pid: tuple[Any, ...]) -> Storage:
            storage = _storage(pid)
            return found.setdefault(storage.key, storage)

        content = unpickle(pickles, remember)
        storages = {}
        for key in _strings(unpickle(pickles, _storage)):
            nbytes = int.from_bytes(file.read(8), "little") * ITEM_SIZES[found[key].dtype]
            storages[key] = (file.tell(), nbytes)
            if file.seek(nbytes, io.SEEK_CUR) > size:
                raise ValueError("it is cut off within its values")
    return TorchContainer(content, storages)


class _Bounded:
    """File that refuses to read beyond its end, where Python would allocate the requested memory first."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._size = size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        """Read exactly as many bytes."""
        if count > self._size - self._file.tell():
            raise EOFError("it ends within its structure")
        return self._file.read(count)


def _storage(pid: tuple[Any, ...]) -> Storage:
    _, kind, key, _, numel = pid[:5]
    if not (isinstance(kind, str) and isinstance(key, str) and type(numel) is int):
        raise TypeError("a storage without a type, a key or a size")
    return Storage(STORAGE_DTYPES.get(kind, kind), key, numel)


def _strings(keys: object) -> list[str]:
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        raise TypeError("the storages have no keys")
    return keys


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
