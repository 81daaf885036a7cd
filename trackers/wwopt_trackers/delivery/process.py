"""The sender's process: it delivers a journal while that grows, and what killed processes have left."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from wwopt_trackers.delivery.sender import Sender, finalize
from wwopt_trackers.journal.journal import Journal, find_journals
from wwopt_trackers.journal.locks import OWNER, SENDER, is_locked, locked

__all__ = ["deliver_while_owned"]

POLL = 0.1  # seconds between two reads of the journal's version
IDLE_DELAY = 2.0  # seconds without a record after which there is time for figures
LONGEST_PAUSE = 5.0  # seconds between attempts while the backend fails


def deliver_while_owned(path: Path) -> None:
    """Deliver a journal until the process that owns it is gone, then finalize it.

    After the first delivery that succeeds, also recover the journals of killed processes for the same backend.
    """
    if hasattr(os, "nice"):
        os.nice(10)  # the training goes first
    with locked(path.with_suffix(SENDER), timeout=10):
        sender, pause, recovered = Sender(path), 0.0, False
        while True:
            orphaned = not is_locked(path.with_suffix(OWNER))
            seen = sender.journal.version()
            done = sender.deliver(final=orphaned)
            if orphaned:
                sender.upload_all_figures()
                break
            if done and not recovered:
                _recover(sender.journal)
                recovered = True
            pause = 0.0 if done else min(LONGEST_PAUSE, 2 * pause or POLL)
            undrawn = done and bool(sender.deliveries.undrawn_runs(sender.journal))
            if not _changed(sender.journal, pause, seen if done else None, IDLE_DELAY if undrawn else math.inf):
                sender.upload_figures()
        sender.close()


def _changed(journal: Journal, pause: float, seen: int | None, idle: float) -> bool:
    """Wait for the pause and for something new, or for the owner's end; False after ``idle`` seconds of neither."""
    start = time.monotonic()
    while is_locked(journal.path.with_suffix(OWNER)):
        time.sleep(POLL)
        waited = time.monotonic() - start
        if waited >= pause and journal.version() != seen:
            return True
        if waited >= idle:
            return False
    return True


def _recover(journal: Journal) -> None:
    """Deliver what killed processes have left for the same backend."""
    for other in find_journals(journal.path.parent):
        with suppress(TimeoutError, ValueError, OSError, sqlite3.Error):  # in progress, or damaged: `sync` reports it
            if other != journal.path and _about(other) == journal.about:
                finalize(other)


def _about(path: Path) -> dict[str, Any]:
    journal = Journal(path)
    try:
        return journal.about
    finally:
        journal.close()
