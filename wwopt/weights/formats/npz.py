"""NumPy archives (``.npz``), read without pickles, one array at a time."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wwopt.arrays import Values

__all__ = ["InNpz", "read_npz"]

LARGEST_EXPANSION = 200  # compression ratio above which an entry of over a gigabyte is refused
GIGABYTE = 1 << 30


@dataclass(frozen=True)
class InNpz:
    """Array in an archive, read when called."""

    path: Path
    member: str

    def __call__(self) -> Values:
        """Read the array."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                values: Values = np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            raise
        except Exception as error:  # what is damaged can break anywhere
            raise ValueError(f"{self.path} is damaged: {self.member} cannot be read: {error}") from error
        return values


def read_npz(path: Path) -> Iterator[NamedTensor]:
    """Describe the arrays of a ``.npz`` file from their headers; each is read when asked for.

    Raises
    ------
    ValueError
        The archive is damaged, or would expand to far more memory than its size suggests.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            described = [_described(path, archive, info) for info in members]
    except Exception as error:  # what is damaged can break anywhere
        raise ValueError(f"{path} is not a readable npz archive: {error}") from error
    return iter(described)


def _described(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NamedTensor:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > info.file_size:
            raise ValueError(f"{info.filename} promises {nbytes} bytes, its entry has {info.file_size}")
    if info.file_size > max(GIGABYTE, LARGEST_EXPANSION * info.compress_size):
        raise ValueError(f"{info.filename} would expand {info.compress_size} bytes to {info.file_size}")
    return NamedTensor(info.filename.removesuffix(".npy"), shape, dtype.name, InNpz(path, info.filename))
