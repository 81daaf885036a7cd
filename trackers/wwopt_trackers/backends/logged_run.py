"""A run read back from where it was logged, with its spectra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["LoggedRun", "read_analysis"]


@dataclass(frozen=True)
class LoggedRun:
    """A run as it was logged.

    Attributes
    ----------
    name : str
        Name of the run, such as "trial-3".
    id : str
        The backend's id of it.
    study : str
        Name of the study that it belongs to; empty where it has none.
    state : str
        "complete", "pruned", "failed" or "running".
    step : int or None
        Step of the spectra; None where none were logged.
    params : mapping
        Parameters that the run was made with.
    metrics : mapping of str to float
        The last number under each name.
    read : callable
        Reads the analysis of ``step``; raises `ValueError` or `OSError` where it cannot be read.
    choice : mapping of str to str
        Of a study's own run the choice that it was told last, as tags; empty for others.
    """

    name: str
    id: str
    study: str
    state: str
    step: int | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    read: Callable[[], Analysis] = field(repr=False)
    choice: Mapping[str, str] = field(default_factory=dict)


def read_analysis(file: Path) -> Analysis:
    """Read a saved analysis; `FileNotFoundError` and `ValueError` say what is wrong with it."""
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

    return Analysis.load(file)
