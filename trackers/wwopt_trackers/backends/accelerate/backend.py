"""Trackers of accelerate as a backend: one tracker for each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.journal.records import STUDY

if TYPE_CHECKING:
    from wwopt_trackers.backends.protocol import Point
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["AccelerateBackend", "AccelerateRun"]

PROJECTS = {  # trackers that call the project `run_name`, and what they call the run
    "clearml": "task_name",
    "comet_ml": None,
    "swanlab": "experiment_name",
    "trackio": "name",
    "wandb": "name",
}


class AccelerateBackend:
    """Trackers of one kind, one for each run.

    Parameters
    ----------
    about : mapping
        What the journal says of its tracker.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = about
        self._class = _find(about["tracker"])

    def check(self) -> None:
        """Each tracker finds out by itself."""

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> AccelerateRun:  # noqa: ARG002
        """Make a run from its start, under a new name where an earlier attempt has left something."""
        name = _next(delivery.remote) if delivery and delivery.remote else run.name
        study = str(run.tags.get("study") or run.tags.get(STUDY) or self._about["name"])
        return AccelerateRun(self._class, self._about, run, study, name)

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Raise `NotImplementedError`: accelerate's trackers only write."""
        raise NotImplementedError("What a tracker of accelerate has cannot be read back.")

    def reset(self) -> None:
        """Hold nothing that could break."""


class AccelerateRun:
    """A run, begun when there is something to log: a study of which only the trials log anything has none."""

    fresh = True

    def __init__(self, tracker: Any, about: Mapping[str, Any], run: Run, study: str, name: str) -> None:
        self.name = name
        self._class, self._about, self._run, self._study = tracker, about, run, study
        self._opened: Any = None

    def log_metrics(self, entries: Sequence[Entry]) -> None:
        """Log each step."""
        for entry in entries:
            self._open().log(dict(entry.metrics), step=entry.step)

    def log_artifacts(self, folder: Path, entry: Entry) -> None:
        """Leave the files beside the journal."""

    def log_choice(self, tags: Mapping[str, str]) -> None:
        """Leave the choice in the journal: these trackers take numbers."""

    def upload_figures(self, figures: Sequence[Path]) -> None:
        """Leave the figures beside the journal."""

    def close(self, run: Run, last: Sequence[Entry]) -> None:
        """Log how the run ended, and end it."""
        if run.parent is None and self._opened is None:
            return
        words = {"ww/state": run.state, "ww/reason": run.reason}
        step = max((entry.step for entry in last), default=0)
        self._open().log({key: word for key, word in words.items() if word}, step=step)
        self._open().finish()

    def _open(self) -> Any:
        if self._opened is None:
            kind = self._about["tracker"]
            project, argument = kind in PROJECTS, PROJECTS.get(kind)
            options = self._about["options"] | ({argument: self.name} if argument else {})
            self._opened = self._class(self._study if project else f"{self._study}/{self.name}", **options)
            self._opened.start()
            params = {str(key): _simple(value) for key, value in self._run.params.items()}
            if params:
                self._opened.store_init_configuration(params)
        return self._opened


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(":")
    if module:
        return getattr(import_module(module), attribute)
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # noqa: PLC0415  (an extra)

    return LOGGER_TYPE_TO_CLASS[name]


def _next(name: str) -> str:
    """Name of another attempt."""
    stem, marker, number = name.rpartition("-again-")
    return f"{stem}{marker}{int(number) + 1}" if marker and number.isdecimal() else f"{name}-again-1"


def _simple(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool)) else str(value)
