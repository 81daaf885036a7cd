"""The supervisor of the sender: starts its process, warns of its failures, and waits for its deliveries."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt_trackers.journal.delivery_log import DeliveryLog
    from wwopt_trackers.journal.journal import Journal

__all__ = ["FLUSH_TIMEOUT", "HTTP_RETRIES", "Supervisor", "start_sender"]

logger = logging.getLogger("wwopt")

FLUSH_TIMEOUT = 30.0  # seconds that the end of a study waits for its backend when nobody says how long
EXIT_TIMEOUT = 3.0  # seconds in which a sender that has delivered everything ends
RESTART_DELAY = 5.0  # seconds after which a sender that died is started again
HTTP_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}  # MLflow's own: 4 minutes
RANKS = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")  # of torchrun

_still_delivering: list[subprocess.Popen[bytes]] = []  # senders that outlive their session


class Supervisor:
    """Supervises a journal's sender.

    Parameters
    ----------
    journal, deliveries : Journal, DeliveryLog
        The journal that the sender delivers, and the log of what it has delivered.
    """

    def __init__(self, journal: Journal, deliveries: DeliveryLog) -> None:
        self._journal, self._deliveries = journal, deliveries
        self._sender: subprocess.Popen[bytes] | None = None
        self._started = -RESTART_DELAY
        self._seen, self._warned = 0, set[str]()

    def check(self) -> None:
        """Warn of what failed, once for each kind of error, and start the sender again if it died."""
        for number, message in self._deliveries.faults(self._seen):
            self._seen = number
            if (kind := message.partition(":")[0]) not in self._warned:
                self._warned.add(kind)
                logger.warning("Tracking fails (%s). Training goes on; %s has everything.", message, self._journal.path)
        died = self._sender is None or self._sender.poll() is not None
        if died and time.monotonic() > self._started + RESTART_DELAY:
            self._started = time.monotonic()
            try:
                self._sender = start_sender(self._journal.path)
            except OSError as error:
                self._deliveries.add_fault(f"{type(error).__name__}: {error}")

    def wait(self, timeout: float | None, run: str | None = None) -> None:
        """Wait for the backend to have a run, or all; warn of what it lacks after the wait.

        Without a ``timeout`` the wait is `FLUSH_TIMEOUT`, and ends with the first failure of the backend.
        """
        end = time.monotonic() + (FLUSH_TIMEOUT if timeout is None else timeout)
        failed, pause = self._failures(), 0.02
        while not (done := self._delivered(run)) and time.monotonic() < end:
            if timeout is None and self._failures() > failed:
                break
            time.sleep(pause)
            pause = min(0.2, 1.5 * pause)
            self.check()
        self.check()
        if not done:
            logger.warning(
                "Not everything has reached the backend: the rest is in %s; deliver it with `wwopt sync %s`.",
                self._journal.path,
                self._journal.path.parent,
            )

    def wait_for_exit(self, timeout: float | None) -> None:
        """Wait up to ``timeout`` seconds for the sender to exit; leave it running if it still delivers."""
        if self._sender is None:
            return
        if self._deliveries.undrawn_runs(self._journal):
            timeout = 0.0  # nobody waits for figures
        try:
            self._sender.wait(EXIT_TIMEOUT if timeout is None else min(EXIT_TIMEOUT, timeout))
        except subprocess.TimeoutExpired:
            _still_delivering.append(self._sender)

    def _delivered(self, run: str | None) -> bool:
        if run is None:
            return not self._deliveries.pending_runs(self._journal)
        delivery = self._deliveries.delivery(run)
        return delivery is not None and delivery.closed

    def _failures(self) -> int:
        return max((number for number, _ in self._deliveries.faults(self._seen)), default=self._seen)


def start_sender(journal: Path) -> subprocess.Popen[bytes]:
    """Start the sender of a journal in a process of its own, which ends after the process that owns the journal."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    inherited = {name: value for name, value in os.environ.items() if name not in RANKS}  # it is no rank of a training
    return subprocess.Popen(  # noqa: S603  (this interpreter, this package)
        [sys.executable, "-P", "-m", "wwopt_trackers", str(journal)],
        env={**HTTP_RETRIES, **inherited, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # an interrupt from the keyboard is the training's: what it has logged still goes out
    )
