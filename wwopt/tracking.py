"""`Tracker`: what an objective needs of a tracker; and where trackers keep the analysis of a step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["State", "Tracker", "step_folder", "step_of"]

State = Literal["complete", "pruned", "failed"]
STEP = re.compile(r"(?:.*/)?step-(-?\d+)/?")


@runtime_checkable
class Tracker(Protocol):
    """A place that keeps what was measured: a study, or with `child` one of its trials.

    No method of a tracker raises while training goes on: what cannot be written is warned of once.
    """

    def child(self, name: str, *, params: Mapping[str, object], tags: Mapping[str, str]) -> Tracker:
        """Open a run under this one, for a trial; safe to call from several threads."""
        ...

    def log(self, analysis: Analysis | None, *, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """Record an analysis, and metrics beside it, at a step; without an analysis the metrics alone."""
        ...

    def finish(self, state: State, *, reason: str = "", timeout: float | None = None) -> None:
        """End the run with its true state; ``timeout`` bounds the wait for what is still to be written, in seconds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def step_folder(step: int) -> str:
    """Name of the folder of a run's artifacts that keeps the analysis of a step.

    Examples
    --------
    >>> step_folder(12)
    'step-000012'
    """
    return f"step-{step:06d}"


def step_of(folder: str) -> int | None:
    """Step whose analysis a folder of artifacts keeps; None where it is no such folder.

    Steps are compared as numbers: as text, ``step-999999`` comes after ``step-1000000``.

    Examples
    --------
    >>> step_of("ww/step-1000000"), step_of("ww/tables")
    (1000000, None)
    """
    match = STEP.fullmatch(folder)
    return int(match[1]) if match else None
