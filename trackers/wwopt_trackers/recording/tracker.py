"""Trackers that record to a journal: `JournalTracker` for a study, `RunTracker` for each of its runs."""

from __future__ import annotations

import logging
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wwopt_trackers.journal.choice_tags import choice_tags, is_newer
from wwopt_trackers.journal.payload import LayerChoice, scalars
from wwopt_trackers.journal.records import STUDY
from wwopt_trackers.recording.provenance import provenance
from wwopt_trackers.recording.session import Session

if TYPE_CHECKING:
    from types import TracebackType

    from wwopt.analysis import Analysis
    from wwopt.tracking import Choice, State

__all__ = ["JournalTracker", "RunTracker", "trial_name"]

logger = logging.getLogger("wwopt")


class _Context:
    """``with tracker:`` ends the run with its true state."""

    def finish(self, state: State, *, reason: str = "", timeout: float | None = None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("complete")
        else:
            optuna = sys.modules.get("optuna")  # who raises its error has imported it
            pruned = optuna is not None and issubclass(kind, optuna.TrialPruned)
            self.finish("pruned" if pruned else "failed", reason=str(error) if pruned else repr(error))


class RunTracker(_Context):
    """A run that is open: a trial's, or the study's own."""

    def __init__(self, session: Session, run: str) -> None:
        self._session, self._run = session, run
        self._choice = LayerChoice()
        self._warned: set[str] = set()
        self._choosing, self._choice_shown = threading.Lock(), dict[str, str]()

    def child(self, name: str, *, params: Mapping[str, object], tags: Mapping[str, str]) -> RunTracker:
        """Open a run under this one."""
        return RunTracker(self._session, self._session.open_run(name, params, tags, self._run))

    def log(self, analysis: Analysis | None, *, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """Record an analysis, and metrics beside it, at a step; without an analysis the metrics alone."""
        try:
            measured = {} if analysis is None else scalars(analysis, self._choice)
            numbers = measured | self._numbers(metrics or {})
            self._session.log(self._run, int(step), numbers, analysis)
        except Exception as error:  # noqa: BLE001  (training goes on whatever a tracker does)
            self._warn(f"`log` failed at step {step!r} ({error!r}): it is not recorded.", kind=type(error).__name__)

    def choose(self, choice: Choice) -> None:
        """Show the choice so far in this run, in the place of the one before."""
        try:
            with self._choosing:
                tags = choice_tags(choice)
                if is_newer(tags, self._choice_shown):
                    self._session.tag(self._run, tags)
                    self._choice_shown = tags
        except Exception as error:  # noqa: BLE001  (training goes on whatever a tracker does)
            self._warn(f"`choose` failed ({error!r}): the choice is not shown.", kind=type(error).__name__)

    def finish(self, state: State, *, reason: str = "", timeout: float | None = None) -> None:
        """End the run; without ``timeout`` nothing is waited for, since the study's end does."""
        self._session.close_run(self._run, state, reason)
        if timeout is not None:
            self._session.wait(timeout, self._run)

    def _numbers(self, metrics: Mapping[str, float]) -> dict[str, float]:
        numbers = {}
        for name, value in metrics.items():
            try:
                numbers[str(name)] = float(value)
            except (TypeError, ValueError):
                self._warn(f"`metrics[{name!r}]` must be a number, got {value!r}: it is not logged.", kind=str(name))
        return numbers

    def _warn(self, message: str, *, kind: str) -> None:
        if kind not in self._warned:
            logger.warning("%s Training goes on.", message)
        self._warned.add(kind)


class JournalTracker(_Context, ABC):
    """A study's run, opened when it is first used; each process that uses it has a journal of its own.

    Parameters
    ----------
    folder : path
        Folder of the journals.
    run_name : str, optional
        Name of the study, or of the run.
    delivers : bool
        Bring the journal to the backend while it is written.
    pictures : int
        Layers whose spectra are drawn when a run is complete; 0: no figures at all.
    """

    def __init__(
        self, folder: str | os.PathLike[str], run_name: str | None, *, delivers: bool, pictures: int = 0
    ) -> None:
        if pictures < 0:
            raise ValueError(f"`pictures` must be 0 or more, got {pictures}.")
        self._folder, self._run_name, self._delivers, self._pictures = Path(folder), run_name, delivers, pictures
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._root: RunTracker | None = None

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker, as the journal keeps them; ``name`` is that of an unnamed study."""

    def child(self, name: str, *, params: Mapping[str, object], tags: Mapping[str, str]) -> RunTracker:
        """Open a run for a trial; several threads and processes may do so at once.

        Parameters
        ----------
        name : str
            Name of the run.
        params, tags : mapping
            Parameters and tags of the run; the tag ``study`` names the study.
        """
        return self._open(tags.get("study") or self.about["name"]).child(name, params=params, tags=tags)

    def log(self, analysis: Analysis | None, *, step: int, metrics: Mapping[str, float] | None = None) -> None:
        """Record an analysis in the tracker's own run.

        Parameters
        ----------
        analysis : Analysis or None
            What was measured; None: the metrics alone.
        step : int
            Step of the training; steps may come in any order.
        metrics : mapping of str to float, optional
            More numbers, under their own names.
        """
        self._open(None).log(analysis, step=step, metrics=metrics)

    def choose(self, choice: Choice) -> None:
        """Show which trial a study would choose now, and why, in the study's run; the last word stands.

        Parameters
        ----------
        choice : wwopt.tracking.Choice
            The trial that `wwopt_objectives.select` would choose, and that of the best value.
        """
        self._open(choice.study).choose(choice)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the backend has all that was logged so far, no longer than ``timeout`` seconds."""
        if self._session is not None and self._session.process == os.getpid():
            self._session.wait(timeout)

    def finish(self, state: State, *, reason: str = "", timeout: float | None = None) -> None:
        """End the study's run and wait for the backend.

        Parameters
        ----------
        state : {"complete", "pruned", "failed"}
            How it ended.
        reason : str
            Why.
        timeout : float, optional
            Longest wait in seconds; what is not delivered by then stays in the journal. None: half a minute, or until
            the backend fails.
        """
        with self._guard:
            session, root, self._session, self._root = self._session, self._root, None, None
        if session is None or root is None or session.process != os.getpid():
            return
        root.finish(state, reason=reason)
        session.close(timeout)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_guard", "_session", "_root")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _guard=threading.Lock(), _session=None, _root=None)

    def _open(self, study: str | None) -> RunTracker:
        with self._guard:
            if self._root is None or self._session is None or self._session.process != os.getpid():
                about = {**self.about, "pictures": self._pictures, "provenance": provenance()}
                self._session = Session(self._folder, about, delivers=self._delivers)
                study = self._run_name or study
                tags = {STUDY: study} if study else {}
                self._root = RunTracker(
                    self._session, self._session.open_run(study or self.about["name"], {}, tags, None)
                )
            return self._root


def trial_name(best: object) -> str:
    """Name of a trial's run, from the name or from a trial of Optuna."""
    number = getattr(best, "number", None)
    return str(best) if number is None else f"trial-{number}"
