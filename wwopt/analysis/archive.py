"""Archive of an analysis: one file with settings, spectra and tables, without pickles."""

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

__all__ = ["DAMAGE", "unpack", "write_archive"]

FORMAT = 2
WORDS = "str"
KINDS = (WORDS, "int64", "float64")
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RecursionError,
    zlib.error,
    BadZipFile,
)

Spectra = Mapping[str, NDArray[np.float64]]
Arrays = Mapping[str, NDArray[Any]]


def write_archive(path: Path, settings: Mapping[str, Any], spectra: Spectra, tables: Mapping[str, Arrays]) -> None:
    """Write an analysis; a file that is there is replaced at once or not at all.

    A table is a mapping of its columns; those of text are arrays of objects.
    """
    header = {
        "format": FORMAT,
        "settings": dict(settings),
        "spectra": {name: len(evals) for name, evals in spectra.items()},
        "tables": {name: _describe(table) for name, table in tables.items()},
    }
    columns = [column for table in tables.values() for column in table.values() if column.dtype != object]
    arrays = {
        "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "analysis/values": np.concatenate([np.empty(0), *spectra.values(), *columns]),
    }
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numbers hardly compress, and whoever trains would wait
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]], dict[str, pd.DataFrame]]:
    """Settings, spectra and tables of a file's content; raises one of `DAMAGE` where it is damaged or newer."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(_text(arrays["header"]))
    if header["format"] > FORMAT:
        raise ValueError(f"a newer wwopt wrote it (format {header['format']}); upgrade wwopt")
    return (_unpack_format_1 if header["format"] == 1 else _unpack_format_2)(header, arrays)


def _text(header: NDArray[Any]) -> str:
    return str(header) if header.dtype.kind == "U" else header.tobytes().decode()  # format 1 has an array of text


def _unpack_format_2(header: Mapping[str, Any], arrays: Arrays) -> tuple[Any, ...]:
    """Format 2 has all numbers in one array: the spectra, then the tables column by column."""
    lengths, words = header["spectra"], header["tables"]
    sizes = [*lengths.values(), *(table["rows"] * len(_numeric(table)) for table in words.values())]
    parts = np.split(arrays["analysis/values"], np.cumsum(sizes))
    if parts.pop().size:
        raise ValueError("it has more numbers than its header says")
    spectra = dict(zip(lengths, parts, strict=False))
    tables = {name: _table(words[name], part) for name, part in zip(words, parts[len(lengths) :], strict=True)}
    return header["settings"], spectra, tables


def _unpack_format_1(header: Mapping[str, Any], arrays: Arrays) -> tuple[Any, ...]:
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


def _describe(table: Arrays) -> dict[str, Any]:
    """Header of a table: its length, the kinds of its columns in their order, and the columns of text."""
    kinds = {"O": WORDS, "i": "int64", "u": "int64"}
    return {
        "rows": len(next(iter(table.values()), ())),
        "kinds": {name: kinds.get(column.dtype.kind, "float64") for name, column in table.items()},
        "words": {name: column.tolist() for name, column in table.items() if column.dtype == object},
    }


def _numeric(words: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in words["kinds"].items() if kind != WORDS]


def _table(words: Mapping[str, Any], numbers: NDArray[np.float64]) -> pd.DataFrame:
    kinds, numeric = words["kinds"], _numeric(words)
    if not set(kinds.values()) <= set(KINDS):
        raise ValueError(f"its columns must be of the kinds {', '.join(KINDS)}")
    rows = numbers.reshape(len(numeric), words["rows"])
    columns = {name: values.astype(kinds[name]) for name, values in zip(numeric, rows, strict=True)}
    columns |= {name: pd.Series(values, dtype=WORDS) for name, values in words["words"].items()}
    return pd.DataFrame({name: columns[name] for name in kinds})
