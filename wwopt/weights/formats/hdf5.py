"""HDF5 files: their data sets, listed by a process of its own; values are mapped where they lie in one piece."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.formats.isolated import CrashError, run_isolated
from wwopt.weights.tensors.dtypes import ITEM_SIZES, decode
from wwopt.weights.tensors.readers import InArray, InFile
from wwopt.weights.tensors.tensor import NamedTensor

if TYPE_CHECKING:
    from wwopt.arrays import Values

__all__ = ["Hdf5Content", "InHdf5", "is_hdf5", "list_hdf5"]

MAGIC = b"\x89HDF\r\n\x1a\n"
PROGRAM = Path(__file__).with_name("hdf5_child.py")
LONGEST = 1 << 27  # bytes of a listing
LARGEST_EXPANSION = 200  # compression ratio above which a data set of over a gigabyte is refused
GIGABYTE = 1 << 30
KINDS = {"b1": "bool", **{f"{k}{n}": f"{name}{8 * n}" for k, name in (("f", "float"), ("i", "int"), ("u", "uint"))
         for n in (1, 2, 4, 8)}}  # fmt: skip
NOTHING = InArray(np.empty((0, 0)))


@dataclass(frozen=True)
class InHdf5:
    """Values of a data set in pieces or compressed, read by a process of its own when called.

    Attributes
    ----------
    start, stop : int
        Where the HDF5 file begins and ends in ``path``, which may be an archive.
    kind, dtype : str
        NumPy's name of the stored type, and torch's of what it stands for.
    """

    path: Path
    start: int
    stop: int
    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]

    def __call__(self) -> Values:
        """Read the values."""
        nbytes = math.prod(self.shape) * np.dtype(self.kind).itemsize
        arguments = (str(self.path), str(self.start), str(self.stop), self.name, self.kind, str(nbytes))
        try:
            content = run_isolated(PROGRAM, "read", *arguments, most=nbytes)
        except CrashError as error:
            if not self.path.exists():
                raise FileNotFoundError(f"No such file: {self.path}") from error
            raise ValueError(f"{self.path} is damaged: {self.name} cannot be read: {error}") from error
        return decode(np.frombuffer(content, np.uint8), self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Hdf5Content:
    """Content of a file.

    Attributes
    ----------
    tensors : list of NamedTensor
        Its data sets by their paths.
    names : mapping of str to str
        The attribute ``name`` of groups, by their paths.
    orders : mapping of str to list of str
        Layers and weights in the order in which Keras lists them, by the groups that list them.
    """

    tensors: list[NamedTensor]
    names: dict[str, str]
    orders: dict[str, list[str]]


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as those of HDF5 do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def list_hdf5(path: Path, start: int = 0, stop: int | None = None) -> Hdf5Content:
    """List the data sets of a file, or of one that lies within another.

    Raises
    ------
    ValueError
        It is damaged, or describes values that it does not hold.
    ImportError
        h5py is not installed.
    """
    if find_spec("h5py") is None:
        raise ImportError(f"{path} needs h5py. Run `pip install 'wwopt[keras]'`.")
    stop = path.stat().st_size if stop is None else stop
    try:
        listed = json.loads(run_isolated(PROGRAM, "list", str(path), str(start), str(stop), most=LONGEST))
        tensors = [_described(path, start, stop, entry) for entry in listed["sets"]]
        _check_overlaps(tensors)
    except (CrashError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a readable HDF5 file: {error}") from error
    return Hdf5Content(tensors, listed["names"], listed["orders"])


def _described(path: Path, start: int, stop: int, entry: dict[str, Any]) -> NamedTensor:
    name, offset, kind = entry["name"], entry["offset"], entry["kind"]
    shape = tuple(entry["shape"] or ())
    dtype = KINDS.get(kind[1:], kind)
    if entry["dtype"] is not None and ITEM_SIZES.get(entry["dtype"]) == ITEM_SIZES.get(dtype, 0):
        dtype = entry["dtype"]  # Keras keeps bfloat16 and float8 as integers
    if dtype not in ITEM_SIZES or entry["shape"] is None:
        return NamedTensor(name, shape, dtype, NOTHING)
    if entry["elsewhere"]:
        return NamedTensor(name, shape, dtype, NOTHING, unusable="kept in another file, which is not read")
    nbytes = math.prod(shape) * ITEM_SIZES[dtype]
    if nbytes > max(GIGABYTE, LARGEST_EXPANSION * entry["stored"]):
        raise ValueError(f"{name} would expand {entry['stored']} bytes to {nbytes}")
    if offset is not None and kind[0] != ">":
        if offset + nbytes > stop - start:
            raise ValueError(f"{name} lies beyond the end of the file, which is cut off or damaged")
        return NamedTensor(name, shape, dtype, InFile(path, start + offset, dtype, shape))
    return NamedTensor(name, shape, dtype, InHdf5(path, start, stop, name, f"<{kind[1:]}", dtype, shape))


def _check_overlaps(tensors: list[NamedTensor]) -> None:
    """Refuse overlaps, by which a small file could cause any amount of work."""
    placed = [(tensor.read.offset, tensor.read.offset + math.prod(tensor.shape) * ITEM_SIZES[tensor.dtype], tensor.name)
              for tensor in tensors if isinstance(tensor.read, InFile) and 0 not in tensor.shape]  # fmt: skip
    for (_, stop, name), (start, _, following) in pairwise(sorted(placed)):
        if start < stop:
            raise ValueError(f"{name} and {following} overlap")
