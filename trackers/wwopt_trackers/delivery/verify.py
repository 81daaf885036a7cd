"""`verify`: compare journals with their backends, number by number."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt_trackers.backends.open_backend import open_backend
from wwopt_trackers.journal.delivery_log import DeliveryLog
from wwopt_trackers.journal.journal import Journal, find_journals

if TYPE_CHECKING:
    from wwopt_trackers.backends.protocol import Backend, Point
    from wwopt_trackers.journal.records import Run

__all__ = ["Verified", "verify"]


@dataclass(frozen=True)
class Verified:
    """The numbers of a run at its backend, compared with the journal.

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
    missing, duplicated : tuple of (key, step, time, value)
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
    duplicated: tuple[Point, ...]
    unwritten: tuple[int, ...]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the backend is known to have every number once."""
        return not self.missing and not self.duplicated and not self.message


def verify(path: str | os.PathLike[str] = "wwopt-journal") -> list[Verified]:
    """Compare journals with their backends, number by number.

    Parameters
    ----------
    path : path
        A folder of journals, or one journal.

    Returns
    -------
    list of Verified
        One for each run of each journal that has a backend.

    Raises
    ------
    FileNotFoundError, ValueError
        There is nothing at the path; a file is no journal.
    Exception
        Whatever the backend raises when it does not answer.
    """
    return [verified for journal in find_journals(path) for verified in _verify(journal)]


def _verify(path: Path) -> list[Verified]:
    journal, deliveries = Journal(path), DeliveryLog(path)
    try:
        if journal.about["kind"] == "local":
            return []
        backend = open_backend(journal.about)
        backend.check()
        return [_compare(journal, deliveries, backend, run) for run in journal.runs()]
    finally:
        journal.close()
        deliveries.close()


def _compare(journal: Journal, deliveries: DeliveryLog, backend: Backend, run: Run) -> Verified:
    entries = journal.entries(run.id)
    logged = _count((key, entry.step, entry.time, value) for entry in entries for key, value in entry.metrics.items())
    delivery = deliveries.delivery(run.id)
    remote = (delivery and delivery.remote) or ""
    names = sorted({key for key, *_ in logged})
    try:
        found, message = _count(backend.points(remote, names) if remote else ()), ""
    except NotImplementedError as error:
        found, message = logged, str(error)
    surplus = Counter({point: found[point] - times for point, times in logged.items() if found[point] > times})
    return Verified(
        journal=journal.path,
        run=run.name,
        remote=remote,
        points=logged.total(),
        missing=tuple((logged - found).elements()),
        duplicated=tuple(surplus.elements()),
        unwritten=tuple(journal.missing_artifacts(run.id)),
        message=message,
    )


def _count(points: Iterable[Point]) -> Counter[Point]:
    """Count points; one NaN equals another."""
    return Counter((key, step, time, math.nan if math.isnan(value) else value) for key, step, time, value in points)
