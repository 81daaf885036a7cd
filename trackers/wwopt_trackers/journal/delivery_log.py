"""The delivery log: how much of a journal its backend has, written by the sender alone, read by its supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt_trackers.journal.records import Delivery, Run
from wwopt_trackers.journal.sqlite import Database

if TYPE_CHECKING:
    from pathlib import Path

    from wwopt_trackers.journal.journal import Journal

__all__ = ["DeliveryLog"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (run TEXT PRIMARY KEY, remote TEXT, entry INTEGER, artifact INTEGER,
                                       closed INTEGER, drawn INTEGER);
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, message TEXT);
"""


class DeliveryLog:
    """A log of what was delivered of a journal, in a file beside it.

    Parameters
    ----------
    journal : Path
        The journal's file.
    """

    def __init__(self, journal: Path) -> None:
        self._database = Database(journal.with_suffix(".sent"), SCHEMA)

    def delivery(self, run: str) -> Delivery | None:
        """How much of a run its backend has; None before anything was tried."""
        return self._deliveries(" WHERE run = ?", run).get(run)

    def record(self, run: str, delivery: Delivery) -> None:
        """Record how much of a run its backend has."""
        self._database.execute(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)",
            run,
            delivery.remote,
            delivery.entry,
            delivery.artifact,
            delivery.closed,
            delivery.drawn,
        )

    def open_runs(self, journal: Journal) -> list[Run]:
        """Runs of a journal that have not ended at the backend, or of which it lacks something."""
        deliveries, last = self._deliveries(), journal.last_entries()
        return [run for run in journal.runs() if not _closed(deliveries.get(run.id)) or _lacks(run, deliveries, last)]

    def pending_runs(self, journal: Journal) -> list[Run]:
        """Runs of a journal of which the backend lacks something; one that goes on lacks no end."""
        deliveries, last = self._deliveries(), journal.last_entries()
        return [
            run
            for run in journal.runs()
            if (run.state and not _closed(deliveries.get(run.id))) or _lacks(run, deliveries, last)
        ]

    def undrawn_runs(self, journal: Journal) -> list[Run]:
        """Complete runs whose figures the backend lacks: nobody waits for them."""
        if not journal.about["pictures"]:
            return []
        deliveries = self._deliveries()
        return [
            run
            for run in journal.runs()
            if run.state == "complete" and _closed(deliveries.get(run.id)) and not deliveries[run.id].drawn
        ]

    def add_fault(self, message: str) -> None:
        """Record that an attempt has failed."""
        self._database.execute("INSERT INTO faults VALUES (NULL, ?)", message)

    def faults(self, after: int = 0) -> list[tuple[int, str]]:
        """Failed attempts: their number and what happened."""
        return [
            (number, message)
            for number, message in self._database.execute("SELECT * FROM faults WHERE id > ? ORDER BY id", after)
        ]

    def close(self) -> None:
        """Close the file."""
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._database.close()

    def _deliveries(self, where: str = "", *values: object) -> dict[str, Delivery]:
        rows = self._database.execute(f"SELECT * FROM deliveries{where}", *values)  # noqa: S608  (a constant)
        return {
            run: Delivery(remote, entry, artifact, closed=bool(closed), drawn=bool(drawn))
            for run, remote, entry, artifact, closed, drawn in rows
        }


def _closed(delivery: Delivery | None) -> bool:
    return delivery is not None and delivery.closed


def _lacks(run: Run, deliveries: dict[str, Delivery], last: dict[str, int]) -> bool:
    return last.get(run.id, 0) > deliveries.get(run.id, Delivery()).entry
