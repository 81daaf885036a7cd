"""Files of trained networks; each is written whole or not at all."""

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

__all__ = ["EVALUATIONS", "FOLDER", "number", "read_evaluations", "read_record", "table", "write", "write_json"]

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


def table(details: pd.DataFrame) -> dict[str, list[Any]]:
    """`Analysis.details` as columns of JSON values."""
    return {
        str(column): [
            None if isinstance(value, float) and not math.isfinite(value) else value for value in values.tolist()
        ]
        for column, values in details.items()
    }


def read_evaluations(record: Mapping[str, Any], path: Path) -> list[Analysis]:
    """Read the analyses that were made during a network's training, in order."""
    with np.load(path, allow_pickle=False) as file:
        spectra = {name: file[name].astype(np.float64) for name in file.files}
    return [
        _analysis(one["details"], {name: spectra[f"{step}/{name}"] for name in one["details"]["name"]})
        for step, one in enumerate(record[EVALUATIONS])
    ]


def _analysis(columns: Mapping[str, list[Any]], spectra: Mapping[str, np.ndarray]) -> Analysis:
    """Make an `Analysis` of stored columns; a column that an older engine did not have is NaN."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Analysis.from_rows(rows, spectra)
