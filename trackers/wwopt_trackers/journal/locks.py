"""Locks beside a journal, which end with the process that holds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["OWNER", "SENDER", "is_locked", "locked"]

OWNER, SENDER = ".owner", ".courier"  # suffixes of the locks: of the process that writes a journal, that delivers it


@contextmanager
def locked(path: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold a lock that the system lets go of when the process dies, on any system.

    Raises
    ------
    TimeoutError
        Another process, or another part of this one, holds it.
    """
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise TimeoutError(f"Another process holds {path}.") from error
        yield
    finally:
        connection.close()


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock."""
    try:
        with locked(path):
            return False
    except TimeoutError:
        return True
