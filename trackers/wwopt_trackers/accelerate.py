"""Any tracker of Hugging Face accelerate: TensorBoard, Comet, ClearML, Trackio, Aim, SwanLab, DVCLive, or one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.recording.tracker import STUDY, JournalTracker

if TYPE_CHECKING:
    from wwopt_trackers.backends.open_backend import Point
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["AccelerateDestination", "AccelerateTracker", "from_accelerate"]

PROJECTS = {  # trackers that call the project `run_name`, and what they call the run
    "clearml": "task_name",
    "comet_ml": None,
    "swanlab": "experiment_name",
    "trackio": "name",
    "wandb": "name",
}


def from_accelerate(
    tracker: str | type,
    *,
    run_name: str | None = None,
    journal: str | os.PathLike[str] = "wwopt-journal",
    **options: Any,
) -> AccelerateTracker:
    """Log to a tracker of Hugging Face accelerate, each run to one of its own.

    Parameters
    ----------
    tracker : str or type
        A name that accelerate knows, such as "tensorboard", "trackio", "comet_ml", "clearml", "aim", "swanlab" or
        "dvclive"; or a subclass of `accelerate.tracking.GeneralTracker` in a module that can be imported.
    run_name : str, optional
        Name of the study, or of the run.
    journal : path
        Folder for the journals, on a local disk.
    **options
        Arguments of that tracker besides its name, such as ``logging_dir``; plain values.

    Raises
    ------
    ImportError
        accelerate is not installed.
    ValueError
        It knows no such tracker, or the class cannot be imported by another process.

    Notes
    -----
    Numbers, parameters and final states are logged; tables and spectra stay beside the journal. After a failure a run
    is logged again from its start under a new name, since not every such tracker can tell what it has.

    Examples
    --------
    >>> tracker = from_accelerate("tensorboard", logging_dir="runs")  # doctest: +SKIP
    """
    if find_spec("accelerate") is None:
        raise ImportError("accelerate is not installed. Run `pip install 'wwopt[accelerate]'`.")
    return AccelerateTracker(_name(tracker), options, run_name=run_name, journal=journal)


class AccelerateTracker(JournalTracker):
    """What `from_accelerate` gives."""

    def __init__(
        self, tracker: str, options: Mapping[str, Any], *, run_name: str | None, journal: str | os.PathLike[str]
    ) -> None:
        super().__init__(journal, run_name, delivers=True)
        self._tracker = tracker
        self._options = {key: _plain(key, value) for key, value in options.items()}

    @property
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker, as the journal keeps them."""
        name = self._run_name or self._tracker.rpartition(":")[2]
        return {"kind": "accelerate", "name": name, "tracker": self._tracker, "options": self._options}


class AccelerateDestination:
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

    def forget(self) -> None:
        """Nothing is held."""


class AccelerateRun:
    """A run, begun when there is something to log: a study of which only the trials log anything has none."""

    fresh = True

    def __init__(self, tracker: Any, about: Mapping[str, Any], run: Run, study: str, name: str) -> None:
        self.name = name
        self._class, self._about, self._run, self._study = tracker, about, run, study
        self._opened: Any = None

    def send(self, entries: Sequence[Entry]) -> None:
        """Log each step."""
        for entry in entries:
            self._open().log(dict(entry.metrics), step=entry.step)

    def attach(self, folder: Path, entry: Entry) -> None:
        """Leave the files beside the journal."""

    def illustrate(self, pictures: Sequence[Path]) -> None:
        """Leave the pictures beside the journal."""

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


def _name(tracker: str | type) -> str:
    """Name by which another process finds a tracker."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker  # noqa: PLC0415  (an extra)

    if isinstance(tracker, str):
        if tracker not in LOGGER_TYPE_TO_CLASS:
            raise ValueError(f"`tracker` must be among {', '.join(sorted(LOGGER_TYPE_TO_CLASS))}, got {tracker!r}.")
        return tracker
    if not (isinstance(tracker, type) and issubclass(tracker, GeneralTracker)):
        raise TypeError(f"`tracker` must be a name or a subclass of GeneralTracker, got {tracker!r}.")
    if tracker.__module__ == "__main__" or "." in tracker.__qualname__:
        raise ValueError(f"`tracker` must be a class of a module that can be imported, got {tracker.__qualname__}.")
    return f"{tracker.__module__}:{tracker.__qualname__}"


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


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if name == "logging_dir":
        return str(Path(value).absolute())
    if not isinstance(value, (str, int, float, bool, list, dict, type(None))):
        raise TypeError(f"`{name}` must be a plain value, which a journal keeps, got {type(value).__name__}.")
    return value


def _simple(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool)) else str(value)
