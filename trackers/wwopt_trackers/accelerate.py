"""Trackers of Hugging Face accelerate: TensorBoard, Comet, ClearML, Trackio, Aim, SwanLab, DVCLive, or one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wwopt_trackers.recording.tracker import JournalTracker

__all__ = ["AccelerateTracker", "from_accelerate"]


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
    """Log to a tracker of accelerate; made by `from_accelerate`."""

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


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if name == "logging_dir":
        return str(Path(value).absolute())
    if not isinstance(value, (str, int, float, bool, list, dict, type(None))):
        raise TypeError(f"`{name}` must be a plain value, which a journal keeps, got {type(value).__name__}.")
    return value
