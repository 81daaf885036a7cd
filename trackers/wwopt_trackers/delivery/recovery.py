"""After a crash or an outage: deliver what journals hold, and prove that it arrived."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wwopt_trackers.backends.open_backend import connect
from wwopt_trackers.backends.wandb.registry import QUEUED, link, queue_of
from wwopt_trackers.delivery.process import settle
from wwopt_trackers.journal.delivery_log import Ledger
from wwopt_trackers.journal.journal import Journal, find_journals

if TYPE_CHECKING:
    from wwopt_trackers.backends.open_backend import Destination, Point
    from wwopt_trackers.journal.records import Run

__all__ = ["Synced", "Verified", "sync", "verify"]


@dataclass(frozen=True)
class Synced:
    """What `sync` did with a journal.

    Attributes
    ----------
    journal : Path
        Its file.
    state : {"delivered", "behind", "busy", "local", "unreadable", "queued"}
        Everything is at the backend; something is not; its process is at work and delivers by itself; it has no
        backend; it cannot be read; it is a promotion that waits for a key of W&B's server.
    message : str
        What went wrong.
    """

    journal: Path
    state: Literal["delivered", "behind", "busy", "local", "unreadable", "queued"]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing left for a person to do."""
        return self.state in ("delivered", "busy", "local", "queued")


@dataclass(frozen=True)
class Verified:
    """What the backend has of a run, compared with the journal.

    Attributes
    ----------
    journal : Path
        The journal's file.
    run : str
        Name of the run.
    remote : str
        The backend's name of it; empty where it has none.
    points : int
        Numbers in the journal.
    missing, doubled : tuple of (key, step, time, value)
        Numbers that the backend has too seldom or too often; the time is in milliseconds since 1970.
    unwritten : tuple of int
        Steps whose spectra were never written, since the process died or the disk was full.
    message : str
        Why the backend could not be read back; then nothing is known to be missing.
    """

    journal: Path
    run: str
    remote: str
    points: int
    missing: tuple[Point, ...]
    doubled: tuple[Point, ...]
    unwritten: tuple[int, ...]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the backend is known to have every number once."""
        return not self.missing and not self.doubled and not self.message


def sync(path: str | os.PathLike[str] = "wwopt-journal") -> list[Synced]:
    """Deliver what processes that are gone have left, each number once; runs they did not end have failed.

    Parameters
    ----------
    path : path
        A folder of journals, or one journal.

    Returns
    -------
    list of Synced
        For each journal, and each promotion that was queued.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    """
    return [*map(_sync, find_journals(path)), *map(_link, queue_of(path))]


def verify(path: str | os.PathLike[str] = "wwopt-journal") -> list[Verified]:
    """Compare journals with their backends, number by number.

    Parameters
    ----------
    path : path
        A folder of journals, or one journal.

    Returns
    -------
    list of Verified
        For each run of each journal that has a backend.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing at the path; a file is no journal.
    Exception
        Whatever the backend raises when it does not answer.
    """
    return [verified for journal in find_journals(path) for verified in _verify(journal)]


def _sync(path: Path) -> Synced:
    try:
        journal = Journal(path)
    except ValueError as error:
        return Synced(path, "unreadable", str(error))
    kind = journal.about["kind"]
    journal.close()
    if kind == "local":
        return Synced(path, "local")
    try:
        fault = settle(path)
    except TimeoutError:
        return Synced(path, "busy")
    return Synced(path, "behind" if fault else "delivered", fault)


def _link(request: Path) -> Synced:
    try:
        queued = link(request) == QUEUED
    except Exception as error:  # noqa: BLE001  (W&B raises anything)
        return Synced(request, "behind", f"{type(error).__name__}: {error}")
    return Synced(request, "queued", "W&B's server needs a key") if queued else Synced(request, "delivered")


def _verify(path: Path) -> list[Verified]:
    journal, ledger = Journal(path), Ledger(path)
    try:
        if journal.about["kind"] == "local":
            return []
        destination = connect(journal.about)
        destination.check()
        return [_compare(journal, ledger, destination, run) for run in journal.runs()]
    finally:
        journal.close()
        ledger.close()


def _compare(journal: Journal, ledger: Ledger, destination: Destination, run: Run) -> Verified:
    entries = journal.entries(run.id)
    logged = _count((key, entry.step, entry.time, value) for entry in entries for key, value in entry.metrics.items())
    delivery = ledger.delivery(run.id)
    remote = (delivery and delivery.remote) or ""
    names = sorted({key for key, *_ in logged})
    try:
        found, message = _count(destination.points(remote, names) if remote else ()), ""
    except NotImplementedError as error:
        found, message = logged, str(error)
    doubled = Counter({point: found[point] - times for point, times in logged.items() if found[point] > times})
    return Verified(
        journal=journal.path,
        run=run.name,
        remote=remote,
        points=logged.total(),
        missing=tuple((logged - found).elements()),
        doubled=tuple(doubled.elements()),
        unwritten=tuple(journal.missing_artifacts(run.id)),
        message=message,
    )


def _count(points: Iterable[Point]) -> Counter[Point]:
    """Count points; one NaN equals another."""
    return Counter((key, step, time, math.nan if math.isnan(value) else value) for key, step, time, value in points)
