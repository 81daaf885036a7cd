"""WeightWatcher's ``details``, a table or its CSV, read as an `Analysis`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wwopt.analysis import COLUMNS, TEXT, Analysis
from wwopt.text import one_line

if TYPE_CHECKING:
    import os

__all__ = ["read_details"]

NEEDED = ("alpha", "N", "M")
LARGEST = 1 << 28  # bytes of a table that can be one of layers
FAILED = -1  # WeightWatcher's exponent where no power law fits


def read_details(source: str | os.PathLike[str] | pd.DataFrame) -> Analysis:
    """Read WeightWatcher's ``details``, a table or its CSV, as an `Analysis` without spectra.

    The name of a layer is its ``longname``; the tables of the Nature paper have none, and a row for each slice
    of a convolution beside one for the layer, which is the one that counts.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no such table: it lacks a column, or has no row.
    """
    table = source if isinstance(source, pd.DataFrame) else _read(Path(source))
    path = "The table" if isinstance(source, pd.DataFrame) else source
    missing = [column for column in NEEDED if column not in table]
    named = next((column for column in ("longname", "name", "layer_id") if column in table), None)
    if missing or named is None:
        lacking = missing or ["longname"]
        raise ValueError(f"{path} is no table of WeightWatcher's `details`: it has no column {', '.join(lacking)}.")
    if "level" in table and "layer_id" in table:
        table = _without_slices(table)
    if table.empty:
        raise ValueError(f"{path} has no layer.")
    rows = table.reset_index(drop=True)
    numbers = {column: pd.to_numeric(rows[column], errors="coerce") for column in COLUMNS if column in rows
               and column not in TEXT}  # fmt: skip
    failed = ~(numbers["alpha"] > 0)
    numbers["alpha"] = numbers["alpha"].where(~failed)
    if "alpha_weighted" in numbers:
        numbers["alpha_weighted"] = numbers["alpha_weighted"].where(~failed)
    details = pd.DataFrame(numbers | {"num_evals": _evals(rows)}).drop(columns="layer_id", errors="ignore")
    details["rf"] = numbers["rf"].fillna(1).astype(int) if "rf" in numbers else 1
    details["name"] = rows[named].astype(str) if named != "layer_id" else ""
    details["layer_type"] = [_type(kind) for kind in rows.get("layer_type", pd.Series([""] * len(rows)))]
    details["status"] = np.where(failed, "failed", "success")
    details["warning"] = rows["warning"].astype(object).fillna("").astype(str) if "warning" in rows else ""
    settings = {"source": str(path), "randomize": "rand_distance" in rows, "named": named != "layer_id"}
    records = [dict(zip(details.columns, row, strict=True)) for row in details.itertuples(index=False)]
    return Analysis.from_rows(records, {}, settings=settings)


def _read(path: Path) -> pd.DataFrame:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than any table of layers: {path.stat().st_size} bytes.")
    try:
        return pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is not a readable CSV: {one_line(error)}") from error


def _without_slices(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the row of each layer, with the sides and the number of its slices."""
    levels = table["level"].astype(str)
    slices = table[levels.str.endswith("SLICE")].groupby("layer_id")
    layers = table[levels.str.endswith("LAYER")]
    sides = {side: layers["layer_id"].map(slices[side].first()).fillna(layers[side]).astype(int) for side in "NM"}
    return layers.assign(rf=layers["layer_id"].map(slices.size()).fillna(1), **sides)


def _evals(rows: pd.DataFrame) -> pd.Series[int]:
    given = rows["num_evals"] if "num_evals" in rows else rows[["N", "M"]].min(axis=1)
    return pd.to_numeric(given, errors="coerce").fillna(0).astype(int)


def _type(kind: object) -> str:
    """Name of a layer type: ``conv2d`` for ``LAYER_TYPE.CONV2D``."""
    return re.sub(r"^.*\.", "", str(kind)).lower()
