"""The training process's side of the courier: start it, pass on what it meets, wait for it."""

from __future__ import annotations

import logging
import subprocess
import time
from typing import TYPE_CHECKING

from wwopt_trackers.delivery.process import start

if TYPE_CHECKING:
    from wwopt_trackers.journal.delivery_log import Ledger
    from wwopt_trackers.journal.journal import Journal

__all__ = ["Attendant"]

logger = logging.getLogger("wwopt")

PATIENCE = 30.0  # seconds that the end of a study waits for its backend when nobody says how long
GRACE = 3.0  # seconds in which a courier that has delivered everything ends
RESTART = 5.0  # seconds after which a courier that died is started again

_left_alone: list[subprocess.Popen[bytes]] = []  # couriers that deliver on after their session


class Attendant:
    """Looks after a journal's courier.

    Parameters
    ----------
    journal, ledger : Journal, Ledger
        What it delivers, and what it has delivered.
    """

    def __init__(self, journal: Journal, ledger: Ledger) -> None:
        self._journal, self._ledger = journal, ledger
        self._courier: subprocess.Popen[bytes] | None = None
        self._started = -RESTART
        self._seen, self._warned = 0, set[str]()

    def look(self) -> None:
        """Warn of what the courier has met, once for each kind, and start it again when it died."""
        for number, message in self._ledger.faults(self._seen):
            self._seen = number
            if (kind := message.partition(":")[0]) not in self._warned:
                self._warned.add(kind)
                logger.warning("Tracking fails (%s). Training goes on; %s has everything.", message, self._journal.path)
        died = self._courier is None or self._courier.poll() is not None
        if died and time.monotonic() > self._started + RESTART:
            self._started = time.monotonic()
            try:
                self._courier = start(self._journal.path)
            except OSError as error:
                self._ledger.add_fault(f"{type(error).__name__}: {error}")

    def wait(self, timeout: float | None, run: str | None = None) -> None:
        """Wait for the backend to have a run, or all; say where the remainder lies.

        Without a ``timeout`` nobody waits for a backend that has just failed.
        """
        end = time.monotonic() + (PATIENCE if timeout is None else timeout)
        failed, pause = self._failures(), 0.02
        while not (done := self._delivered(run)) and time.monotonic() < end:
            if timeout is None and self._failures() > failed:
                break
            time.sleep(pause)
            pause = min(0.2, 1.5 * pause)
            self.look()
        self.look()
        if not done:
            logger.warning(
                "Not everything has reached the backend: the rest is in %s; deliver it with `wwopt sync %s`.",
                *(self._journal.path, self._journal.path.parent),
            )

    def leave(self, timeout: float | None) -> None:
        """Let the courier end, which it does once the journal has no owner; one that is busy is left to itself."""
        if self._courier is None:
            return
        if self._ledger.undrawn_runs(self._journal):
            timeout = 0.0  # nobody waits for pictures
        try:
            self._courier.wait(GRACE if timeout is None else min(GRACE, timeout))
        except subprocess.TimeoutExpired:
            _left_alone.append(self._courier)

    def _delivered(self, run: str | None) -> bool:
        if run is None:
            return not self._ledger.pending_runs(self._journal)
        delivery = self._ledger.delivery(run)
        return delivery is not None and delivery.closed

    def _failures(self) -> int:
        return max((number for number, _ in self._ledger.faults(self._seen)), default=self._seen)
