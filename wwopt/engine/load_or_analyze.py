"""`load_or_analyze`: the analysis of a source, made now or earlier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wwopt.analysis import Analysis
from wwopt.engine.analyze import analyze
from wwopt.sources import Kind, read_details, resolve

__all__ = ["load_or_analyze"]


def load_or_analyze(source: object, options: Mapping[str, Any]) -> Analysis:
    """Read an analysis or a table that somebody has made, or analyse weights.

    Parameters
    ----------
    source : as of `wwopt.rank`
        What `wwopt.analyze` reads, an `Analysis`, the path of a saved one, or WeightWatcher's ``details``.
    options : mapping
        Of `wwopt.analyze`; what has been analysed keeps its own.
    """
    found = resolve(source)
    if isinstance(found.value, Analysis):
        return found.value
    if found.kind is Kind.TABLE and isinstance(found.value, (Path, pd.DataFrame)):
        return read_details(found.value)
    if found.kind is Kind.SAVED and isinstance(found.value, Path):
        return Analysis.load(found.value)
    return analyze(found, **options)
