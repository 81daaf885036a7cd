"""What the commands read: weights, or an analysis that was saved."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["names_of", "read_analysis"]

SAVED = "spectra/names.npy"  # what only a saved analysis holds


def read_analysis(source: str, **options: Any) -> Analysis:
    """Load a saved analysis, or analyse weights with the options of `wwopt.analyze`."""
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)
    from wwopt.pipeline import analyze  # noqa: PLC0415

    return Analysis.load(source) if _is_saved(source) else analyze(source, **options)


def names_of(sources: Sequence[str]) -> list[str]:
    """Name sources as shortly as tells them apart."""
    ends = [os.path.splitext(source.rstrip("/").rpartition("/")[2])[0] or source for source in sources]  # noqa: PTH122  (names of hubs are no paths)
    counts = Counter(ends)
    names = [source if counts[end] > 1 else end for source, end in zip(sources, ends, strict=True)]
    return [
        f"{name} ({names[:place].count(name) + 1})" if name in names[:place] else name
        for place, name in enumerate(names)
    ]


def _is_saved(source: str) -> bool:
    if not (Path(source).is_file() and zipfile.is_zipfile(source)):
        return False
    with zipfile.ZipFile(source) as file:
        return SAVED in file.namelist()
