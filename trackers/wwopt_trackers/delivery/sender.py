"""The sender: brings a journal to its backend, each number once, however often the backend fails."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt_trackers.backends.open_backend import open_backend
from wwopt_trackers.delivery.figures import draw
from wwopt_trackers.journal.choice_tags import choice_in
from wwopt_trackers.journal.delivery_log import DeliveryLog
from wwopt_trackers.journal.journal import Journal
from wwopt_trackers.journal.locks import OWNER, SENDER, locked
from wwopt_trackers.journal.payload import complete
from wwopt_trackers.journal.records import Delivery, Run

if TYPE_CHECKING:
    from wwopt_trackers.backends.protocol import Backend, RemoteRun

__all__ = ["UNFINISHED", "Sender", "finalize"]

CHUNK = 100  # entries that are read from the journal at a time
UNFINISHED = "the process ended before the run did"


class Sender:
    """Delivers one journal. One sender at a time may do so: hold the lock beside the journal.

    Parameters
    ----------
    path : Path
        The journal's file.
    """

    def __init__(self, path: Path) -> None:
        self.journal, self.deliveries = Journal(path), DeliveryLog(path)
        self._backend: Backend | None = None
        self._opened: dict[str, RemoteRun] = {}
        self._shown: dict[str, dict[str, str]] = {}  # choices, by the run of the study

    def deliver(self, *, final: bool = False) -> bool:
        """Deliver all there is, and say whether nothing failed.

        Parameters
        ----------
        final : bool
            The journal's process is gone: runs that have not ended have failed, spectra not written never will be.
        """
        if final:
            for run in self.journal.runs():
                self.journal.close_run(run.id, "failed", UNFINISHED)
        runs = self.deliveries.open_runs(self.journal)
        try:
            if runs:
                self._open_backend().check()
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            return self._failed(error)
        trials_first = sorted(runs, key=lambda run: run.parent is None)  # a study's end names its best trial
        outcomes = [self._attempt(run, final=final) for run in trials_first]
        return all(outcomes)

    def upload_figures(self) -> bool:
        """Draw and send the figures of one complete run, that of the best score first; whether there was one."""
        runs = self.deliveries.undrawn_runs(self.journal)
        if not runs:
            return False
        run = min(runs, key=self._score)
        delivery = self.deliveries.delivery(run.id) or Delivery()
        try:
            self._open_backend().open(run, None, delivery).upload_figures(self._draw(run))
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            return self._failed(error)
        self._record(run, replace(delivery, drawn=True))
        return True

    def upload_all_figures(self) -> None:
        """Draw and send the figures of every complete run, until one fails."""
        while self.upload_figures():
            pass

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.deliveries.close()

    def _open_backend(self) -> Backend:
        if self._backend is None:
            self._backend = open_backend(self.journal.about)
        return self._backend

    def _attempt(self, run: Run, *, final: bool) -> bool:
        try:
            self._deliver(run, final=final)
        except Exception as error:  # noqa: BLE001  (backends raise anything)
            self._opened.clear()
            self._shown.clear()
            self._open_backend().reset()
            return self._failed(error)
        return True

    def _deliver(self, run: Run, *, final: bool) -> None:
        remote = self._open(run)
        delivery = self.deliveries.delivery(run.id) or Delivery()
        while entries := self.journal.entries(run.id, after=delivery.entry, limit=CHUNK):
            remote.log_metrics(entries)
            delivery = self._record(run, replace(delivery, entry=entries[-1].id))
        for artifact in self.journal.artifacts(run.id, after=delivery.artifact):
            if artifact.folder:
                (entry,) = self.journal.entries(run.id, after=artifact.entry - 1, limit=1)
                remote.log_artifacts(complete(self.journal.path.parent / artifact.folder), entry)
            delivery = self._record(run, replace(delivery, artifact=artifact.id))
        choice = choice_in(run.tags)
        if choice != self._shown.get(run.id, {}):
            remote.log_choice(choice)
            self._shown[run.id] = choice
        if run.state and not delivery.closed and (final or not self.journal.missing_artifacts(run.id)):
            self._close(run, remote)
            self._record(run, replace(delivery, closed=True, drawn=remote.fresh))

    def _close(self, run: Run, remote: RemoteRun) -> None:
        if remote.fresh and run.state == "complete" and self.journal.about["pictures"]:
            remote.upload_figures(self._draw(run))  # now or never; elsewhere figures can wait
        remote.close(run, self.journal.last_numbers(run.id))
        del self._opened[run.id]

    def _draw(self, run: Run) -> list[Path]:
        try:
            return draw(self.journal, run, worst=self.journal.about["pictures"])
        except Exception as error:  # noqa: BLE001  (a figure that fails would fail again)
            self._failed(error)
            return []

    def _score(self, run: Run) -> float:
        scores = [entry.metrics["ww/score"] for entry in self.journal.entries(run.id) if "ww/score" in entry.metrics]
        return scores[-1] if scores else math.inf

    def _open(self, run: Run) -> RemoteRun:
        if run.id in self._opened:
            return self._opened[run.id]
        parent = self._remote_name(run.parent) if run.parent else None
        earlier = self.deliveries.delivery(run.id)
        self._record(run, earlier or Delivery())  # an attempt that dies now may have created the run
        remote = self._open_backend().open(run, parent, earlier)
        delivery = Delivery() if remote.fresh or earlier is None else earlier
        self._record(run, replace(delivery, remote=remote.name))
        self._opened[run.id] = remote
        return remote

    def _remote_name(self, run: str) -> str:
        """Name of a run at the backend, where it is made if it is not there."""
        delivery = self.deliveries.delivery(run)
        if delivery and delivery.remote:
            return delivery.remote
        return self._open(next(other for other in self.journal.runs() if other.id == run)).name

    def _record(self, run: Run, delivery: Delivery) -> Delivery:
        self.deliveries.record(run.id, delivery)
        return delivery

    def _failed(self, error: Exception) -> bool:
        self.deliveries.add_fault(f"{type(error).__name__}: {error}")
        return False


def finalize(path: Path) -> str:
    """Deliver the journal of a process that is gone, and give the error that stopped it, or an empty string.

    Raises
    ------
    TimeoutError
        The journal is being written or delivered.
    """
    with locked(path.with_suffix(OWNER)), locked(path.with_suffix(SENDER)):
        sender = Sender(path)
        try:
            if not sender.deliver(final=True):
                return sender.deliveries.faults()[-1][1]
            sender.upload_all_figures()
            return ""
        finally:
            sender.close()
