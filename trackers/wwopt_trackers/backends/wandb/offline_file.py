"""Reader of W&B's offline files: records in the LevelDB log format."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["read_records", "read_row", "read_rows"]

PREAMBLE, BLOCK = 7, 32768
HEADER = struct.Struct("<IHB")  # checksum, length, type
FULL, LAST = 1, 4


def read_records(file: Path) -> Iterator[Any]:
    """Read the records of a ``.wandb`` file, up to where it is cut off."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # noqa: PLC0415

    data = file.read_bytes()
    position, text = PREAMBLE, b""
    while position + HEADER.size <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:
            position += left
            continue
        _, length, kind = HEADER.unpack_from(data, position)
        position += HEADER.size
        if kind == 0 or position + length > len(data):
            return
        text += data[position : position + length]
        position += length
        if kind in (FULL, LAST):
            yield Record.FromString(text)
            text = b""


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Read what was logged to a ``.wandb`` file, row by row."""
    for record in read_records(file):
        if record.WhichOneof("record_type") == "history":
            yield read_row(record.history.item)


def read_row(items: Iterable[Any]) -> dict[str, Any]:
    """Read the items of a row, a summary or a configuration; dots join the keys of what is nested."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
