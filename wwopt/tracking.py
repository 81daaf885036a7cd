"""`Tracker`: what an objective needs of a tracker; `Choice`: what a study would choose now; folders of a step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["Choice", "ChoiceTracker", "State", "Tracker", "hears_choices", "step_folder", "step_of", "tell_choice"]

State = Literal["complete", "pruned", "failed"]
STEP = re.compile(r"(?:.*/)?step-(-?\d+)/?")


@dataclass(frozen=True)
class Choice:
    """The trial that a study would choose now, and why; and the one of the best value, which may be another.

    Attributes
    ----------
    study : str
        Name of the study.
    began : str
        When its first trial began: another study may have had the name before.
    chosen : str
        Name of the run of the trial that is chosen.
    best : str or None
        Name of the run of the trial with the best value; None where the study has several objectives.
    reason : str
        Why it is chosen, in words.
    rung : str
        The data that the choice used beside the weights, such as "inputs and loss".
    trials : int
        Number of trials that were compared: of two choices in one study the one of more trials is the later.
    metrics : mapping of str to float
        Numbers of the chosen trial: ``score``, and as far as they are known ``loss``, ``agreement`` and ``meter``.
    """

    study: str
    began: str
    chosen: str
    best: str | None
    reason: str
    rung: str
    trials: int
    metrics: Mapping[str, float] = field(default_factory=dict)


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


@runtime_checkable
class ChoiceTracker(Tracker, Protocol):
    """A tracker that also shows which trial a study would choose now; a `Tracker` need not."""

    def choose(self, choice: Choice) -> None:
        """Show the choice so far in the study's own run, in the place of the one before."""
        ...


def hears_choices(tracker: Tracker) -> bool:
    """Whether a tracker shows the choice so far: those of the protocol's first version do not."""
    return callable(getattr(tracker, "choose", None))


def tell_choice(tracker: Tracker, choice: Choice) -> None:
    """Tell a tracker the choice so far; one that does not show it is left alone."""
    if isinstance(tracker, ChoiceTracker):
        tracker.choose(choice)


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
