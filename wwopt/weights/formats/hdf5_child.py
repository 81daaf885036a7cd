"""Program that reads an HDF5 file, within limits of memory and time: ``python hdf5_child.py TASK FILE START STOP ...``.

It knows nothing of the package, and is run by `wwopt.weights.formats.hdf5`. The task ``list`` writes the data sets and
attributes of the file, in JSON; ``read NAME DTYPE BYTES`` writes the values of a data set.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

__all__ = ["main"]

SPARE = 1 << 30  # bytes of address space for libraries and the structure of a file
SECONDS = 60  # of processor time
MOST = 200_000  # data sets of a file
LONGEST = 1000  # bytes of a text


class _Section(io.RawIOBase):
    """Part of a file, such as an uncompressed entry of an archive."""

    def __init__(self, file: io.BufferedReader, start: int, stop: int) -> None:
        super().__init__()
        self.file, self.start, self.size, self.position = file, start, stop - start, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it has positions."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def tell(self) -> int:
        """Return the position."""
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Read what there is, up to the end."""
        self.file.seek(self.start + self.position)
        content = self.file.read(min(len(buffer), max(0, self.size - self.position)))
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)


def main(task: str, path: str, start: str, stop: str, *arguments: str) -> None:
    """Carry out a task, and write the answer to the standard output."""
    _limit(SPARE + (8 * int(arguments[2]) if task == "read" else 0))
    import h5py  # noqa: PLC0415  (within the limits)

    with open(path, "rb") as opened, h5py.File(_Section(opened, int(start), int(stop)), "r") as file:  # noqa: PTH123
        if task == "list":
            sys.stdout.write(json.dumps(_listed(file)))
        else:
            name, dtype, nbytes = arguments
            values = file[name][()]
            content = values.astype(dtype, copy=False).tobytes()
            if len(content) != int(nbytes):
                raise ValueError(name)
            sys.stdout.buffer.write(content)


def _limit(memory: int) -> None:
    try:
        import resource  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return
    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (value, value))


def _listed(file: Any) -> dict[str, Any]:
    import h5py  # noqa: PLC0415  (loaded already)

    sets: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    orders: dict[str, list[str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if len(sets) >= MOST:
                raise ValueError("too many data sets")
            sets.append(_described(name, item))
        elif (given := _text(item.attrs, "name")) is not None:
            names[name] = given
        if (order := _texts(item.attrs, "weight_names")) is not None:
            orders[name] = order

    for group in (file, file.get("model_weights")):
        if isinstance(group, h5py.Group) and (layers := _texts(group.attrs, "layer_names")) is not None:
            orders[group.name.strip("/")] = layers
    file.visititems(visit)
    return {"sets": sets, "names": names, "orders": orders}


def _described(name: str, item: Any) -> dict[str, Any]:
    elsewhere = bool(item.is_virtual) or bool(item.external)
    plain = item.chunks is None and not elsewhere and item.shape is not None
    offset = item.id.get_offset() if plain else None
    return {
        "name": name,
        "shape": None if item.shape is None else [int(size) for size in item.shape],
        "kind": item.dtype.str if item.dtype.fields is None and item.dtype.subdtype is None else "O",
        "dtype": _text(item.attrs, "dtype"),
        "offset": None if offset is None else int(offset),
        "stored": int(item.id.get_storage_size()),
        "elsewhere": elsewhere,
    }


def _text(attributes: Any, key: str) -> str | None:
    try:
        value = attributes[key]
    except (KeyError, OSError, TypeError, ValueError):
        return None
    return _as_text(value) if isinstance(value, (str, bytes)) else None


def _as_text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))[:LONGEST]


def _texts(attributes: Any, key: str) -> list[str] | None:
    """Return a list of texts, which Keras cuts into pieces (``key0``, ``key1``, ...) where it is long."""
    found: list[str] = []
    for part in (key, *(f"{key}{i}" for i in range(1000))):
        try:
            values = attributes[part]
        except (KeyError, OSError, TypeError, ValueError):
            if part != key:
                break
            continue
        if hasattr(values, "__len__") and not isinstance(values, (str, bytes)):
            found += [_as_text(value) for value in list(values)[:MOST]]
    return found or None


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException:  # noqa: BLE001  (whatever a damaged file does)
        sys.exit(3)
