"""SQLite connections of the journal: shared by threads, with a write-ahead log."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

__all__ = ["Database"]

FORMAT = 1
MAGIC = 0x77774F50  # "wwOP": the application id in a file's header


class Database:
    """A connection that threads share, each statement a transaction of its own.

    Raises
    ------
    FileNotFoundError, ValueError
        ``schema`` is None, and there is no such file; or it is damaged, of another kind, or of a newer version.
    OSError, sqlite3.Error
        It cannot be created.
    """

    def __init__(self, path: Path, schema: str | None = None) -> None:
        if schema is None and not path.is_file():
            raise FileNotFoundError(f"There is no journal {path}.")
        self.path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rw' if schema is None else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(schema)
        except BaseException:
            self._connection.close()
            raise

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _prepare(self, schema: str | None) -> None:
        if schema is not None:
            self.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(schema)
            self.execute(f"PRAGMA application_id = {MAGIC}")
            self.execute(f"PRAGMA user_version = {FORMAT}")
        else:
            self._check()
        self.execute("PRAGMA synchronous = NORMAL")
        self.execute("PRAGMA wal_autocheckpoint = 0")  # a checkpoint waits for the disk: not on the training thread

    def _check(self) -> None:
        try:
            ((found_magic,),) = self.execute("PRAGMA application_id")
            ((found_version,),) = self.execute("PRAGMA user_version")
            self.execute("SELECT count(*) FROM sqlite_schema")
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} is not a journal or is damaged: {error}.") from error
        if found_magic != MAGIC:
            raise ValueError(f"{self.path} is not a journal of wwopt.")
        if found_version > FORMAT:
            raise ValueError(f"{self.path} was written by a newer wwopt (format {found_version}); upgrade wwopt.")
