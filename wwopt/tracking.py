"""What an objective needs of a tracker, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["State", "Tracker"]

State = Literal["complete", "pruned", "failed"]


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
