"""Locks beside a journal, which the system releases when the process that holds them ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["OWNER", "SENDER", "is_locked", "locked"]

OWNER = ".owner"  # suffix of the lock of the process that writes a journal
SENDER = ".courier"  # suffix of the lock of the process that delivers it


@contextmanager
def locked(path: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold a lock that one process has at a time, and in it one thread.

    Parameters
    ----------
    path : Path
        The lock's file, which is created and stays.
    timeout : float
        Longest wait for another holder, in seconds.

    Raises
    ------
    TimeoutError
        Another process, or another part of this one, holds it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "journal.owner")
    >>> with locked(path):
    ...     is_locked(path)
    True
    >>> is_locked(path)
    False
    """
    lock = FileLock(path, thread_local=False)  # a session may be closed by another thread than the one that opened it
    try:
        lock.acquire(timeout)
    except Timeout as error:
        raise TimeoutError(f"Another process holds {path}.") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock; creates no file."""
    if not path.exists():
        return False
    try:
        with locked(path):
            return False
    except TimeoutError:
        return True
