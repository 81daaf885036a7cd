"""The one file that keeps an analysis: settings, spectra and tables, without pickles."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["FAULTS", "unpack", "write_archive"]

FORMAT = 2
WORDS = "str"
KINDS = (WORDS, "int64", "float64")
FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RecursionError, zlib.error, BadZipFile)

Spectra = Mapping[str, NDArray[np.float64]]
Arrays = Mapping[str, NDArray[Any]]


def write_archive(
    path: Path, settings: Mapping[str, Any], spectra: Spectra, tables: Mapping[str, pd.DataFrame]
) -> None:
    """Write an analysis; a file that is there is replaced at once or not at all."""
    numbers = {name: table.select_dtypes("number") for name, table in tables.items()}
    header = {
        "format": FORMAT,
        "settings": dict(settings),
        "spectra": list(spectra),
        "tables": {name: _words(table, numbers[name]) for name, table in tables.items()},
    }
    arrays: dict[str, Any] = {
        "header": np.array(json.dumps(header)),
        "spectra/lengths": np.array([len(evals) for evals in spectra.values()], dtype=np.int64),
        "spectra/values": np.concatenate([np.empty(0), *spectra.values()]),
        **{f"tables/{name}": columns.to_numpy(np.float64) for name, columns in numbers.items()},
    }
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            np.savez_compressed(file, **arrays)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]], dict[str, pd.DataFrame]]:
    """Settings, spectra and tables of a file's content; raises one of `FAULTS` where it is damaged or newer."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"]))
    if header["format"] > FORMAT:
        raise ValueError(f"a newer wwopt wrote it (format {header['format']}); upgrade wwopt")
    return (_first if header["format"] == 1 else _second)(header, arrays)


def _second(header: Mapping[str, Any], arrays: Arrays) -> tuple[Any, ...]:
    tables = {name: _table(words, arrays[f"tables/{name}"]) for name, words in header["tables"].items()}
    return header["settings"], _split(header["spectra"], arrays["spectra/lengths"], arrays["spectra/values"]), tables


def _first(header: Mapping[str, Any], arrays: Arrays) -> tuple[Any, ...]:
    """Format 1 has an array for each column."""
    tables: dict[str, dict[str, NDArray[Any]]] = {}
    for table, column in (name.split("/", 1) for name in arrays if "/" in name):
        tables.setdefault(table, {})[column] = arrays[f"{table}/{column}"]
    spectra = tables.pop("spectra")
    frames = {
        name: pd.DataFrame(columns).astype({column: WORDS for column in columns if columns[column].dtype.kind == "U"})
        for name, columns in tables.items()
    }
    return header["settings"], _split(spectra["names"].tolist(), spectra["lengths"], spectra["values"]), frames


def _split(names: list[str], lengths: NDArray[np.int64], values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(names, np.split(values, np.cumsum(lengths)[:-1]) if names else [], strict=True))


def _words(table: pd.DataFrame, numeric: pd.DataFrame) -> dict[str, Any]:
    """What JSON keeps of a table: the kinds of its columns in their order, and the words."""
    kinds = {name: "int64" if kind.kind in "iu" else "float64" for name, kind in numeric.dtypes.items()}
    words = {str(name): table[name].to_numpy(object).tolist() for name in table if name not in kinds}
    return {"kinds": {str(name): kinds.get(name, WORDS) for name in table}, "words": words}


def _table(words: Mapping[str, Any], numbers: NDArray[np.float64]) -> pd.DataFrame:
    kinds = words["kinds"]
    if not set(kinds.values()) <= set(KINDS):
        raise ValueError(f"its columns must be of the kinds {', '.join(KINDS)}")
    numeric = [name for name, kind in kinds.items() if kind != WORDS]
    columns = {name: values.astype(kinds[name]) for name, values in zip(numeric, numbers.T, strict=True)}
    columns |= {name: pd.array(values, dtype=WORDS) for name, values in words["words"].items()}
    return pd.DataFrame({name: columns[name] for name in kinds})
