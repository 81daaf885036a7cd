"""The session of a tracker in one process: its journal, its writer thread, and the supervisor of its sender."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.journal.delivery_log import DeliveryLog
from wwopt_trackers.journal.journal import Journal, now
from wwopt_trackers.journal.locks import OWNER, locked
from wwopt_trackers.journal.payload import complete, write_spectra
from wwopt_trackers.journal.records import Run
from wwopt_trackers.recording.spectra_writer import Writer
from wwopt_trackers.recording.supervisor import FLUSH_TIMEOUT, Supervisor

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["Session"]

logger = logging.getLogger("wwopt")


class Session:
    """A journal that is open, the thread that writes beside it, and the process that delivers it.

    Parameters
    ----------
    folder : path
        Where the journal goes; a temporary folder instead when it cannot be written to.
    about : mapping
        The kind of the tracker and its arguments, kept in the journal for `wwopt_trackers.sync`.
    delivers : bool
        Deliver the journal to its backend while it is written.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], *, delivers: bool) -> None:
        self.process = os.getpid()
        self._journal = _create(folder, about)
        self._deliveries = DeliveryLog(self._journal.path)
        self._owned = ExitStack()
        owner = self._journal.path.with_suffix(OWNER)
        self._owned.enter_context(locked(owner, timeout=10))  # a `sync` that has just found the journal may hold it
        self._local = about["kind"] == "local"
        self._root, self._open, self._closed = "", set[str](), False
        self._supervisor = Supervisor(self._journal, self._deliveries) if delivers else None
        self._check()
        self._writer = Writer(self._journal, self._write, self._check)
        self._exit = Finalize(None, self._at_exit, exitpriority=0)

    def open_run(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], parent: str | None) -> str:
        """Begin a run and give its id; the first is the study's."""
        run = Run(uuid.uuid4().hex, parent, name, params, tags, now(), state=None, reason="", stop=None)
        self._journal.open_run(run)
        self._open.add(run.id)
        self._root = self._root or run.id
        return run.id

    def log(self, run: str, step: int, metrics: Mapping[str, float], analysis: Analysis | None) -> None:
        """Record the numbers of a step, and take the analysis for the writer.

        Raises
        ------
        RuntimeError
            The study has ended.
        """
        if self._closed:
            raise RuntimeError("its study has ended")
        entry = self._journal.append(run, step, metrics, spectra=analysis is not None)
        if analysis is not None:
            self._writer.put(entry, analysis)

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Record tags of a run, unless its study has ended."""
        if not self._closed:
            self._journal.add_tags(run, tags)

    def close_run(self, run: str, state: str, reason: str) -> None:
        """End a run; one whose study has ended stays as it is."""
        if not self._closed:
            self._journal.close_run(run, state, reason)
            self._open.discard(run)

    def wait(self, timeout: float | None, run: str | None = None) -> None:
        """Wait for the backend to have a run, or all."""
        if self._supervisor:
            self._supervisor.wait(timeout, run)

    def close(self, timeout: float | None = None) -> None:
        """End what is open, deliver it as far as ``timeout`` allows, and let go of the files."""
        self._exit.cancel()
        for run in tuple(self._open):
            self.close_run(run, "failed", "the study ended before the run did")
        self._closed = True
        end = time.monotonic() + (FLUSH_TIMEOUT if timeout is None else timeout)
        written = self._writer.close(end - time.monotonic())
        self.wait(None if timeout is None else max(0.0, end - time.monotonic()))
        if self._journal.unwritten:
            logger.warning("%d records of %s could not be written.", self._journal.unwritten, self._journal.path)
        self._owned.close()
        if self._supervisor:
            self._supervisor.wait_for_exit(None if timeout is None else max(0.0, end - time.monotonic()))
        if written:
            self._journal.close()
            self._deliveries.close()

    def _write(self, analysis: Analysis, folder: Path) -> None:
        write_spectra(analysis, folder)
        if self._local:
            complete(folder)

    def _check(self) -> None:
        if self._supervisor:
            self._supervisor.check()

    def _at_exit(self) -> None:
        """End a study that nobody ended: as failed when the program did."""
        error: BaseException | None = getattr(sys, "last_value", None)
        if self._root in self._open:
            self.close_run(self._root, *(("complete", "") if error is None else ("failed", repr(error))))
        self.close()


def _create(folder: Path, about: Mapping[str, Any]) -> Journal:
    kind = re.sub(r"[^A-Za-z0-9]+", "-", f"{about['kind']}-{about['name']}")[:60].strip("-")
    name = f"{kind}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:4]}.db"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Journal(folder.absolute() / name, about)
    except (OSError, sqlite3.Error) as error:
        spare = Path(tempfile.mkdtemp(prefix="wwopt-journal-"))
        logger.warning("The journal cannot be written to %s (%s): it goes to %s.", folder, error, spare)
        return Journal(spare / name, about)
