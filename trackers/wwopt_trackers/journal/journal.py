"""The journal: a SQLite file that has every number before a backend is called."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from wwopt_trackers.journal.records import Artifact, Entry, Run
from wwopt_trackers.journal.sqlite import Database

__all__ = ["Journal", "find_journals", "now"]

logger = logging.getLogger("wwopt")

SCHEMA = """
CREATE TABLE about (value TEXT);
CREATE TABLE runs (id TEXT PRIMARY KEY, parent TEXT, name TEXT, params TEXT, tags TEXT, start INTEGER,
                   state TEXT, reason TEXT, stop INTEGER);
CREATE TABLE layouts (id INTEGER PRIMARY KEY, keys TEXT);
CREATE TABLE entries (id INTEGER PRIMARY KEY, run TEXT, step INTEGER, time INTEGER, layout INTEGER, numbers BLOB,
                      spectra INTEGER);
CREATE INDEX entries_of_run ON entries (run, id);
CREATE TABLE artifacts (id INTEGER PRIMARY KEY, entry INTEGER UNIQUE, run TEXT, step INTEGER, folder TEXT, fault TEXT);
CREATE INDEX artifacts_of_run ON artifacts (run, id);
"""


class Journal:
    """One journal file, written by one process and one tracker.

    Writes go in order through one connection, and are kept in memory while the disk refuses them; reads have a
    connection of their own, so that no writer waits for a reader.

    Parameters
    ----------
    path : path
        The file. It is created when ``about`` is given.
    about : mapping, optional
        Kind and arguments of the tracker, by which `wwopt_trackers.sync` opens its backend.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no journal, is damaged, or was written by a newer version.
    OSError, sqlite3.Error
        It cannot be created.
    """

    def __init__(self, path: Path, about: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._backlog: deque[tuple[str, tuple[object, ...]]] = deque()
        self._refused, self._time = False, 0
        self._writer = Database(path, None if about is None else SCHEMA)
        self._reader = Database(path)
        if about is not None:
            self._writer.execute("INSERT INTO about VALUES (?)", json.dumps(about))
        self._keys: dict[int, tuple[str, ...]] = {}
        self._layouts = {keys: number for number, keys in self._read_keys().items()}
        self._ids = count(1 + self._reader.execute("SELECT coalesce(max(id), 0) FROM entries")[0][0])

    @property
    def about(self) -> dict[str, Any]:
        """The tracker that wrote this journal."""
        return dict(json.loads(self._reader.execute("SELECT value FROM about")[0][0]))

    @property
    def unwritten(self) -> int:
        """Number of writes that the disk has refused so far."""
        return len(self._backlog)

    def open_run(self, run: Run) -> None:
        """Record that a run has begun."""
        self._write(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, NULL, '', NULL)",
            run.id,
            run.parent,
            run.name,
            _text(run.params),
            _text(run.tags),
            run.start,
        )

    def add_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Record tags of a run that goes on, in the place of those of the same names."""
        self._write("UPDATE runs SET tags = json_patch(tags, ?) WHERE id = ?", _text(tags), run)

    def close_run(self, run: str, state: str, reason: str) -> None:
        """Record how a run ended; only the first call counts."""
        self._write(
            "UPDATE runs SET state = ?, reason = ?, stop = ? WHERE id = ? AND state IS NULL",
            state,
            reason,
            now(),
            run,
        )

    def append(self, run: str, step: int, metrics: Mapping[str, float], *, spectra: bool) -> Entry:
        """Record the numbers of a step, with the time stamp that every backend will see."""
        keys, numbers = tuple(metrics), array("d", metrics.values()).tobytes()
        with self._lock:  # ids in the order of writing: a reader that has seen one has seen all below it
            layout = self._layout(keys)
            self._time = max(now(), self._time + 1)  # MLflow takes two equal points of one millisecond for one
            entry = Entry(next(self._ids), run, step, self._time, metrics, spectra)
            values = (entry.id, run, step, entry.time, layout, numbers, spectra)
            self._backlog.append(("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values))
            self._flush()
        return entry

    def add_artifact(self, entry: Entry, folder: str, fault: str = "") -> None:
        """Record the folder with the spectra of an entry, or why there is none."""
        self._write(
            "INSERT OR IGNORE INTO artifacts VALUES (NULL, ?, ?, ?, ?, ?)",
            entry.id,
            entry.run,
            entry.step,
            folder,
            fault,
        )

    def runs(self) -> list[Run]:
        """All runs in the order of their start."""
        return [
            Run(id_, parent, name, json.loads(params), json.loads(tags), start, state, reason, stop)
            for id_, parent, name, params, tags, start, state, reason, stop in self._reader.execute(
                "SELECT * FROM runs ORDER BY start, rowid"
            )
        ]

    def last_entries(self) -> dict[str, int]:
        """Id of the last entry of each run that has one."""
        return dict(self._reader.execute("SELECT run, max(id) FROM entries GROUP BY run"))

    def last_numbers(self, run: str) -> list[Entry]:
        """Entries of a run, each with the numbers that were not logged again later."""
        last = {key: entry for entry in self.entries(run) for key in entry.metrics}
        entries = {entry.id: entry for entry in last.values()}
        return [
            replace(entry, metrics={key: value for key, value in entry.metrics.items() if last[key] is entry})
            for entry in entries.values()
        ]

    def entries(self, run: str, *, after: int = 0, limit: int = -1) -> list[Entry]:
        """Entries of a run in the order in which they were logged."""
        query = "SELECT * FROM entries WHERE run = ? AND id > ? ORDER BY id LIMIT ?"
        return [
            Entry(id_, run, step, at, self._metrics(layout, numbers), bool(spectra))
            for id_, run, step, at, layout, numbers, spectra in self._reader.execute(query, run, after, limit)
        ]

    def artifacts(self, run: str, *, after: int = 0) -> list[Artifact]:
        """Artifacts of a run in the order in which they were written."""
        rows = self._reader.execute("SELECT * FROM artifacts WHERE run = ? AND id > ? ORDER BY id", run, after)
        return [Artifact(*row) for row in rows]

    def missing_artifacts(self, run: str) -> list[int]:
        """Steps whose spectra were logged and have not been written."""
        query = "SELECT step FROM entries WHERE run = ? AND spectra AND id NOT IN (SELECT entry FROM artifacts)"
        return [step for (step,) in self._reader.execute(query, run)]

    def version(self) -> int:
        """A number that changes when another process has written."""
        return int(self._reader.execute("PRAGMA data_version")[0][0])

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log into the file, and retry what the disk refused."""
        with self._lock:
            self._flush()
        self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._flush()
        self._reader.close()
        self._writer.close()

    def _layout(self, keys: tuple[str, ...]) -> int:
        """Number of a sequence of keys, which are written once and not with each step: that halves a step's time."""
        if keys not in self._layouts:
            self._layouts[keys] = len(self._layouts) + 1
            self._backlog.append(("INSERT INTO layouts VALUES (?, ?)", (self._layouts[keys], json.dumps(keys))))
        return self._layouts[keys]

    def _metrics(self, layout: int, numbers: bytes) -> dict[str, float]:
        if layout not in self._keys:
            self._keys = self._read_keys()
        return dict(zip(self._keys[layout], array("d", numbers), strict=True))

    def _read_keys(self) -> dict[int, tuple[str, ...]]:
        return {number: tuple(json.loads(text)) for number, text in self._reader.execute("SELECT * FROM layouts")}

    def _write(self, statement: str, *values: object) -> None:
        with self._lock:
            self._backlog.append((statement, values))
            self._flush()

    def _flush(self) -> None:
        try:
            while self._backlog:
                statement, values = self._backlog[0]
                self._writer.execute(statement, *values)
                self._backlog.popleft()
            self._refused = False
        except sqlite3.Error as error:
            if not self._refused:
                logger.warning("The journal %s cannot be written (%s): kept in memory until it can.", self.path, error)
            self._refused = True


def find_journals(path: str | os.PathLike[str]) -> list[Path]:
    """Journal files of a folder, or the file itself.

    Raises
    ------
    FileNotFoundError
        There is neither.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no journal {path}.")
    return sorted(path.glob("*.db")) if path.is_dir() else [path]


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps({str(key): value for key, value in values.items()}, default=str)
