"""The folder in which trained networks are kept; a file is there as a whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.analysis import Analysis

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FOLDER", "look_of", "read_looks", "read_record", "table", "write"]

FOLDER = Path("~/.cache/wwopt/selection")


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file, and put it in place once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        save(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    write(path, lambda scratch: scratch.write_text(json.dumps(content, allow_nan=False), encoding="utf-8"))


def read_record(path: Path) -> dict[str, Any] | None:
    """Record of a network; None where there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def number(value: float) -> float | None:
    """Number as JSON knows it: no NaN, no infinity."""
    return float(value) if math.isfinite(value) else None


def table(details: pd.DataFrame) -> dict[str, list[Any]]:
    """`Analysis.details` as columns of JSON values."""
    return {
        str(column): [
            None if isinstance(value, float) and not math.isfinite(value) else value for value in values.tolist()
        ]
        for column, values in details.items()
    }


def look_of(columns: Mapping[str, list[Any]], spectra: Mapping[str, np.ndarray]) -> Analysis:
    """Make an `Analysis` of what was kept of a look; a column that did not exist then is NaN."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Analysis.from_rows(rows, spectra)


def read_looks(record: Mapping[str, Any], path: Path) -> list[Analysis]:
    """All looks at a network's training, in order."""
    with np.load(path, allow_pickle=False) as file:
        kept = {name: file[name].astype(np.float64) for name in file.files}
    looks = []
    for step, look in enumerate(record["looks"]):
        spectra = {name: kept[f"{step}/{name}"] for name in look["details"]["name"]}
        looks.append(look_of(look["details"], spectra))
    return looks
