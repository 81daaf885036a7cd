"""A trial's runs in the trackers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from wwopt.analysis import Analysis
    from wwopt.tracking import State, Tracker

__all__ = ["Runs"]


class Runs:
    """A trial's runs, one for each tracker; opened at the first look, when the parameters are known."""

    def __init__(self, trackers: Iterable[Tracker], trial: optuna.Trial) -> None:
        self._trackers = tuple(trackers)
        self._trial = trial
        self._open: list[Tracker] = []

    def log(self, analysis: Analysis, step: int, metrics: Mapping[str, float]) -> None:
        """Record an analysis in each."""
        for run in self._opened():
            run.log(analysis, step=step, metrics=metrics)

    def finish(self, state: State, reason: str = "") -> None:
        """End each with its true state."""
        for run in self._opened():
            run.finish(state, reason=reason)

    def _opened(self) -> list[Tracker]:
        if not self._open:
            trial = self._trial
            tags = {"study": trial.study.study_name, "trial": str(trial.number)}
            self._open = [
                tracker.child(f"trial-{trial.number}", params=trial.params, tags=tags) for tracker in self._trackers
            ]
        return self._open
