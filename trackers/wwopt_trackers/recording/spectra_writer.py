"""The writer thread: writes the spectra beside the journal, away from the training threads."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from wwopt.analysis import Analysis
    from wwopt_trackers.journal.journal import Journal
    from wwopt_trackers.journal.records import Entry

__all__ = ["Writer"]

logger = logging.getLogger("wwopt")

TICK = 0.5  # seconds without work between two checkpoints of the journal
REFUSED = 100  # analyses that are kept for another attempt while the disk is full


class Writer:
    """Takes analyses from the training threads, and writes their files in a thread of its own.

    Parameters
    ----------
    journal : Journal
        Where each folder is recorded once it is complete.
    write : callable
        Writes an analysis into a folder.
    tick : callable
        Called every half second in which there is nothing to write.
    """

    def __init__(self, journal: Journal, write: Callable[[Analysis, Path], None], tick: Callable[[], None]) -> None:
        self._journal, self._save, self._tick = journal, write, tick
        self._queue: queue.SimpleQueue[tuple[Entry, Analysis] | None] = queue.SimpleQueue()
        self._folder = journal.path.with_suffix("")
        self._refused: deque[tuple[Entry, Analysis]] = deque(maxlen=REFUSED)
        self._fault = ""
        self._thread = threading.Thread(target=self._work, name="wwopt-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry, analysis: Analysis) -> None:
        """Take an analysis; returns at once."""
        self._queue.put((entry, analysis))

    def close(self, timeout: float) -> bool:
        """Write what was taken, and end; whether all was written in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            try:
                task = self._queue.get(timeout=TICK)
            except queue.Empty:
                self._idle()
                continue
            if task is None:
                self._idle()
                self._give_up()
                return
            if not self._write(*task):
                self._refused.append(task)

    def _write(self, entry: Entry, analysis: Analysis) -> bool:
        folder = self._folder / entry.run / f"{entry.id:06d}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._save(analysis, folder)
        except Exception as error:  # noqa: BLE001  (whatever it is, training goes on)
            if not self._fault:
                logger.warning("The spectra of step %d are not written (%s); its scalars are.", entry.step, error)
            self._fault = repr(error)
            return False
        self._journal.add_artifact(entry, str(folder.relative_to(self._journal.path.parent)))
        return True

    def _give_up(self) -> None:
        for entry, _ in self._refused:
            self._journal.add_artifact(entry, "", fault=self._fault)

    def _idle(self) -> None:
        try:
            self._journal.checkpoint()
            self._refused = deque((task for task in self._refused if not self._write(*task)), maxlen=REFUSED)
            self._tick()
        except Exception:
            logger.warning("Tracking fails. Training goes on.", exc_info=True)
