"""The courier's process: what a backend costs in time and in memory is not the training's."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from wwopt_trackers.delivery.sender import Courier
from wwopt_trackers.journal.journal import Journal, find_journals
from wwopt_trackers.journal.sqlite import is_locked, locked

__all__ = ["COURIER", "OWNER", "attend", "settle", "start"]

OWNER, COURIER = ".owner", ".courier"  # locks beside a journal: of the process that writes it, and that delivers it
POLL = 0.1  # seconds between two looks at the journal
QUIET = 2.0  # seconds without a record after which there is time for pictures
LONGEST_PAUSE = 5.0  # seconds between attempts while the backend fails
RANKS = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")  # of torchrun
IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}  # MLflow's own: 4 minutes


def start(journal: Path) -> subprocess.Popen[bytes]:
    """Start a courier for a journal; it ends after the process that owns the journal."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    inherited = {name: value for name, value in os.environ.items() if name not in RANKS}  # it is no rank of a training
    return subprocess.Popen(  # noqa: S603  (this interpreter, this package)
        [sys.executable, "-P", "-m", "wwopt_trackers", str(journal)],
        env={**IMPATIENCE, **inherited, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # an interrupt from the keyboard is the training's: what it has logged still goes out
    )


def attend(path: Path) -> None:
    """Deliver a journal as it grows, until its owner is gone; and what others like it have left behind."""
    if hasattr(os, "nice"):
        os.nice(10)  # what computes goes first
    with locked(path.with_suffix(COURIER), timeout=10):
        courier, pause, adopted = Courier(path), 0.0, False
        while True:
            orphaned = not is_locked(path.with_suffix(OWNER))
            seen = courier.journal.version()
            done = courier.deliver(settle=orphaned)
            if orphaned:
                while courier.illustrate():
                    pass
                break
            if done and not adopted:
                _adopt(courier.journal)
                adopted = True
            pause = 0.0 if done else min(LONGEST_PAUSE, 2 * pause or POLL)
            undrawn = done and bool(courier.ledger.undrawn_runs(courier.journal))
            if not _written(courier.journal, pause, seen if done else None, QUIET if undrawn else math.inf):
                courier.illustrate()
        courier.close()


def settle(journal: Path) -> str:
    """Deliver the journal of a process that is gone; what went wrong, or nothing.

    Raises
    ------
    TimeoutError
        It is being written or delivered.
    """
    with locked(journal.with_suffix(OWNER)), locked(journal.with_suffix(COURIER)):
        courier = Courier(journal)
        try:
            fault = "" if courier.deliver(settle=True) else courier.ledger.faults()[-1][1]
            while not fault and courier.illustrate():
                pass
            return fault
        finally:
            courier.close()


def _written(journal: Journal, pause: float, seen: int | None, patience: float) -> bool:
    """Wait until the pause is over and something was written since, or the owner is gone; False: nothing was."""
    start = time.monotonic()
    while is_locked(journal.path.with_suffix(OWNER)):
        time.sleep(POLL)
        waited = time.monotonic() - start
        if waited >= pause and journal.version() != seen:
            return True
        if waited >= patience:
            return False
    return True


def _adopt(journal: Journal) -> None:
    """Deliver what processes that died have left for the same backend."""
    for other in find_journals(journal.path.parent):
        with suppress(TimeoutError, ValueError, OSError, sqlite3.Error):  # busy, or not for us to judge
            if other != journal.path and _about(other) == journal.about:
                settle(other)


def _about(path: Path) -> dict[str, Any]:
    journal = Journal(path)
    try:
        return journal.about
    finally:
        journal.close()
