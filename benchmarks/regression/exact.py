"""Results as JSON that loses nothing: floats in hexadecimal, arrays and files by their hash, sentences left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import wwopt

__all__ = ["analysis", "exact", "files", "table"]

# For people: their wording may change.
SENTENCES = ("note", "reason", "message", "advice", "warnings", "faults", "inputs")


def exact(value: Any) -> Any:
    """Translate numbers, words, arrays, tables and what holds them.

    Raises
    ------
    TypeError
        The value is of another kind: nothing is left out by accident.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    match plain:
        case None | str() | bool() | int():
            result = plain
        case float():
            result = plain.hex()
        case np.ndarray():
            result = {"dtype": str(plain.dtype), "shape": list(plain.shape), "sha256": _hash(plain.tobytes())}
        case pd.DataFrame():
            result = table(plain)
        case Mapping():
            result = {str(key): "sentences" if key in SENTENCES else exact(each) for key, each in plain.items()}
        case list() | tuple():
            result = [exact(each) for each in plain]
        case _:
            raise TypeError(f"`value` must be a number, a word, an array or a table, got {type(value).__name__}.")
    return result


def table(frame: pd.DataFrame, *, index: bool = True) -> dict[str, Any]:
    """Columns in their order; of those with sentences the name alone."""
    columns = {
        str(name): "sentences" if name in SENTENCES else [exact(value) for value in frame[name].tolist()]
        for name in frame.columns
    }
    return {"order": list(columns), "columns": columns} | ({"index": [exact(v) for v in frame.index]} if index else {})


def analysis(found: wwopt.Analysis) -> dict[str, Any]:
    """Everything that an analysis knows."""
    known = {name: exact(getattr(found, name)) for name in ("details", "summary", "spectra", "skipped", "pairs")}
    answer = found.response
    return known | {
        "order": list(found.spectra),
        "settings": exact({**found.settings, "base": None}),
        "response": answer and [exact(answer.information), exact(answer.certainty), answer.outputs],
    }


def files(folder: Path) -> dict[str, str]:
    """Hash of each file of a folder by its path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _hash(path.read_bytes()) for path in found}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
