"""Files of trained networks; each is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["EVALUATIONS", "FOLDER", "number", "read_record", "write", "write_json"]

FOLDER = Path("~/.cache/wwopt/selection")
EVALUATIONS = "looks"  # key in a record; networks that take hours to train are stored with it


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file, and move it to ``path`` once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        save(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write JSON."""
    write(path, lambda scratch: scratch.write_text(json.dumps(content, allow_nan=False), encoding="utf-8"))


def read_record(path: Path) -> dict[str, Any] | None:
    """Read the record of a network; None where there is none, or a torn one."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def number(value: float) -> float | None:
    """Make a number of JSON: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
