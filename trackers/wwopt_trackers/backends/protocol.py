"""The protocols that a backend implements: `Backend` opens runs, `RemoteRun` takes their numbers, files and end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["Backend", "Point", "RemoteRun"]

Point = tuple[str, int, int, float]  # key, step, time in milliseconds since 1970, value


class RemoteRun(Protocol):
    """A run at the backend. Every method raises when it fails, and is called again later.

    Attributes
    ----------
    name : str
        The backend's name of the run.
    fresh : bool
        Whether the run is a new one at each attempt, so that everything is sent again from the start: for backends
        that cannot tell a number sent twice from two numbers.
    """

    name: str
    fresh: bool

    def log_metrics(self, entries: Sequence[Entry]) -> None:
        """Send the numbers of some steps."""

    def log_artifacts(self, folder: Path, entry: Entry) -> None:
        """Send the files of a step: the spectra and the table of layers."""

    def log_choice(self, tags: Mapping[str, str]) -> None:
        """Show which trial is chosen so far, in the place of what was shown before, unless that is newer."""

    def upload_figures(self, figures: Sequence[Path]) -> None:
        """Send the figures of a run."""

    def close(self, run: Run, last: Sequence[Entry]) -> None:
        """End the run with its state and the last number under each key; raises when it did not arrive in full."""


class Backend(Protocol):
    """A place that runs are delivered to. Every method raises when it fails, and is called again later."""

    def check(self) -> None:
        """Raise within seconds when the backend does not answer."""

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> RemoteRun:
        """Create a run, or find the one that an earlier attempt (``delivery``) has made."""

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what the backend has of a run under these names."""

    def reset(self) -> None:
        """Drop connections that may be broken after a failure."""
