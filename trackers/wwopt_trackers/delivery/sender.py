"""Bringing a journal to its backend, each point once, however often the backend fails."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt_trackers.backends.open_backend import connect
from wwopt_trackers.delivery.figures import draw
from wwopt_trackers.journal.delivery_log import Ledger
from wwopt_trackers.journal.journal import Journal
from wwopt_trackers.journal.payload import complete
from wwopt_trackers.journal.records import Delivery, Run

if TYPE_CHECKING:
    from wwopt_trackers.backends.open_backend import Destination, RemoteRun

__all__ = ["UNFINISHED", "Courier"]

CHUNK = 100  # entries that are read from the journal at a time
UNFINISHED = "the process ended before the run did"


class Courier:
    """Delivers one journal. One courier at a time may do so: hold the lock beside it.

    Parameters
    ----------
    path : Path
        The journal's file.
    """

    def __init__(self, path: Path) -> None:
        self.journal, self.ledger = Journal(path), Ledger(path)
        self._destination: Destination | None = None
        self._opened: dict[str, RemoteRun] = {}

    def deliver(self, *, settle: bool = False) -> bool:
        """Deliver all there is, and say whether nothing failed.

        Parameters
        ----------
        settle : bool
            The journal's process is gone: what has not ended has failed, what was not written will not be.
        """
        if settle:
            for run in self.journal.runs():
                self.journal.close_run(run.id, "failed", UNFINISHED)
        runs = self.ledger.open_runs(self.journal)
        try:
            if runs:
                self._destination = self._destination or connect(self.journal.about)
                self._destination.check()
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            return self._failed(error)
        trials_first = sorted(runs, key=lambda run: run.parent is None)  # a study ends with what its trials came to
        outcomes = [self._attempt(run, settle=settle) for run in trials_first]
        return all(outcomes)

    def illustrate(self) -> bool:
        """Draw the pictures of one complete run, that of the best score first; whether there was one."""
        runs = self.ledger.undrawn_runs(self.journal)
        if not runs:
            return False
        run = min(runs, key=self._score)
        delivery = self.ledger.delivery(run.id) or Delivery()
        try:
            self._destination = self._destination or connect(self.journal.about)
            remote = self._destination.open(run, None, delivery)
            remote.illustrate(self._draw(run))
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            return self._failed(error)
        self._record(run, replace(delivery, drawn=True))
        return True

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.ledger.close()

    def _attempt(self, run: Run, *, settle: bool) -> bool:
        try:
            self._deliver(run, settle=settle)
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            self._opened.clear()
            if self._destination is not None:
                self._destination.forget()
            return self._failed(error)
        return True

    def _deliver(self, run: Run, *, settle: bool) -> None:
        remote = self._open(run)
        delivery = self.ledger.delivery(run.id) or Delivery()
        while entries := self.journal.entries(run.id, after=delivery.entry, limit=CHUNK):
            remote.send(entries)
            delivery = self._record(run, replace(delivery, entry=entries[-1].id))
        for artifact in self.journal.artifacts(run.id, after=delivery.artifact):
            if artifact.folder:
                (entry,) = self.journal.entries(run.id, after=artifact.entry - 1, limit=1)
                remote.attach(complete(self.journal.path.parent / artifact.folder), entry)
            delivery = self._record(run, replace(delivery, artifact=artifact.id))
        if run.state and not delivery.closed and (settle or not self.journal.missing_artifacts(run.id)):
            self._close(run, remote)
            self._record(run, replace(delivery, closed=True, drawn=remote.fresh))

    def _close(self, run: Run, remote: RemoteRun) -> None:
        if remote.fresh and run.state == "complete" and self.journal.about["pictures"]:
            remote.illustrate(self._draw(run))  # now or never; elsewhere pictures can wait
        remote.close(run, self.journal.last_numbers(run.id))
        del self._opened[run.id]

    def _draw(self, run: Run) -> list[Path]:
        try:
            return draw(self.journal, run, worst=self.journal.about["pictures"])
        except Exception as error:  # noqa: BLE001  (a picture that fails would fail again)
            self._failed(error)
            return []

    def _score(self, run: Run) -> float:
        scores = [entry.metrics["ww/score"] for entry in self.journal.entries(run.id) if "ww/score" in entry.metrics]
        return scores[-1] if scores else math.inf

    def _open(self, run: Run) -> RemoteRun:
        if run.id in self._opened:
            return self._opened[run.id]
        assert self._destination is not None  # noqa: S101  (deliver connects)
        parent = self._remote_name(run.parent) if run.parent else None
        earlier = self.ledger.delivery(run.id)
        self._record(run, earlier or Delivery())  # an attempt that dies now may have created the run
        remote = self._destination.open(run, parent, earlier)
        delivery = Delivery() if remote.fresh or earlier is None else earlier
        self._record(run, replace(delivery, remote=remote.name))
        self._opened[run.id] = remote
        return remote

    def _remote_name(self, run: str) -> str:
        """Name of a run at the backend, where it is made if it is not there."""
        delivery = self.ledger.delivery(run)
        if delivery and delivery.remote:
            return delivery.remote
        return self._open(next(other for other in self.journal.runs() if other.id == run)).name

    def _record(self, run: Run, delivery: Delivery) -> Delivery:
        self.ledger.record(run.id, delivery)
        return delivery

    def _failed(self, error: Exception) -> bool:
        self.ledger.add_fault(f"{type(error).__name__}: {error}")
        return False
