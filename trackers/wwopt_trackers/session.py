"""A tracker at work in one process: its journal, its writer, and the courier's process."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt_trackers.journal import Journal, now
from wwopt_trackers.ledger import Ledger
from wwopt_trackers.payload import complete, write_spectra
from wwopt_trackers.process import OWNER, start
from wwopt_trackers.records import Run
from wwopt_trackers.sqlite import locked
from wwopt_trackers.writer import Writer

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["Session"]

logger = logging.getLogger("wwopt")

PATIENCE = 30.0  # seconds that the end of a study waits for its backend when nobody says how long
GRACE = 3.0  # seconds in which a courier that has delivered everything ends
RESTART = 5.0  # seconds after which a courier that died is started again

_left_alone: list[subprocess.Popen[bytes]] = []  # couriers that deliver on after their session


class Session:
    """Everything that one tracker holds in one process.

    Parameters
    ----------
    folder : path
        Where the journal goes; a temporary folder instead when it cannot be written to.
    about : mapping
        The kind of the tracker and its arguments, kept in the journal for `wwopt_trackers.sync`.
    delivers : bool
        Keep a courier at work.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], *, delivers: bool) -> None:
        self.process = os.getpid()
        self.journal = _create(folder, about)
        self._ledger = Ledger(self.journal.path)
        self._locks = ExitStack()
        self._locks.enter_context(locked(self.journal.path.with_suffix(OWNER)))
        self._delivers, self._local = delivers, about["kind"] == "local"
        self._open: set[str] = set()
        self._guard = threading.Lock()
        self._courier: subprocess.Popen[bytes] | None = None
        self._started = -RESTART
        self._faults, self._warned = 0, set[str]()
        self._look_after()
        self._writer = Writer(self.journal, self._write, self._look_after)

    @property
    def idle(self) -> bool:
        """Whether every run has ended."""
        return not self._open

    def open_run(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], parent: str | None) -> str:
        """Begin a run and give its id."""
        run = Run(uuid.uuid4().hex, parent, name, params, tags, now(), state=None, reason="", stop=None)
        self.journal.open_run(run)
        self._open.add(run.id)
        return run.id

    def log(self, run: str, step: int, metrics: Mapping[str, float], analysis: Analysis) -> None:
        """Record the numbers of a step, and take the analysis for the writer."""
        self._writer.put(self.journal.append(run, step, metrics, spectra=True), analysis)

    def close_run(self, run: str, state: str, reason: str) -> None:
        """End a run."""
        self.journal.close_run(run, state, reason)
        self._open.discard(run)

    def wait(self, timeout: float | None, run: str | None = None) -> None:
        """Wait for the backend to have a run, or all; say where the remainder lies.

        Without a ``timeout`` nobody waits for a backend that has just failed.
        """
        if not self._delivers:
            return
        end = time.monotonic() + (PATIENCE if timeout is None else timeout)
        failed, pause = self._last_fault(), 0.02
        while not (done := self._delivered(run)) and time.monotonic() < end:
            if timeout is None and self._last_fault() > failed:
                break
            time.sleep(pause)
            pause = min(0.2, 1.5 * pause)
        self._look_after()
        if not done:
            logger.warning(
                "Not everything has reached the backend: the rest is in %s; deliver it with `wwopt sync %s`.",
                *(self.journal.path, self.journal.path.parent),
            )

    def close(self, timeout: float | None = None) -> None:
        """Write what was taken, deliver it as far as ``timeout`` allows, and let go of the files."""
        end = time.monotonic() + (PATIENCE if timeout is None else timeout)
        written = self._writer.close(max(0.0, end - time.monotonic()))
        self.wait(None if timeout is None else max(0.0, end - time.monotonic()))
        self._locks.close()
        if self.journal.unwritten:
            logger.warning("%d records of %s could not be written.", self.journal.unwritten, self.journal.path)
        if written:
            self.journal.close()
            self._ledger.close()
        if self._courier is not None:
            try:
                self._courier.wait(GRACE if timeout is None else max(0.0, min(GRACE, end - time.monotonic())))
            except subprocess.TimeoutExpired:
                _left_alone.append(self._courier)

    def _write(self, analysis: Analysis, folder: Path) -> None:
        write_spectra(analysis, folder)
        if self._local:
            complete(folder)

    def _look_after(self) -> None:
        """Pass on what the courier has met, once for each kind, and start it again when it died."""
        for number, message in self._ledger.faults(self._faults):
            self._faults = number
            if (kind := message.partition(":")[0]) not in self._warned:
                self._warned.add(kind)
                logger.warning("Tracking fails (%s). Training goes on; %s has everything.", message, self.journal.path)
        if self._delivers and (self._courier is None or self._courier.poll() is not None):
            self._start()

    def _start(self) -> None:
        if time.monotonic() < self._started + RESTART:
            return
        self._started = time.monotonic()
        try:
            self._courier = start(self.journal.path)
        except OSError as error:
            self._ledger.add_fault(f"{type(error).__name__}: {error}")

    def _delivered(self, run: str | None) -> bool:
        if run is None:
            return not self._ledger.pending_runs(self.journal)
        delivery = self._ledger.delivery(run)
        return delivery is not None and delivery.closed

    def _last_fault(self) -> int:
        return max((number for number, _ in self._ledger.faults(self._faults)), default=self._faults)


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
