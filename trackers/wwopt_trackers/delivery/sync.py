"""`sync`: deliver what journals still hold after a crash or an outage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wwopt_trackers.backends.wandb.registry import QUEUED, link, queue_of
from wwopt_trackers.journal.journal import Journal, find_journals

__all__ = ["Synced", "sync"]


@dataclass(frozen=True)
class Synced:
    """The outcome of `sync` for a journal, or for a promotion that was queued.

    Attributes
    ----------
    journal : Path
        Its file.
    state : {"delivered", "pending", "in progress", "local", "unreadable", "queued"}
        Everything is at the backend; something is not; its process runs and delivers by itself; it has no backend;
        it cannot be read; it is a promotion that waits for a key of W&B's server.
    message : str
        What went wrong.
    """

    journal: Path
    state: Literal["delivered", "pending", "in progress", "local", "unreadable", "queued"]
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing left for a person to do."""
        return self.state not in ("pending", "unreadable")


def sync(path: str | os.PathLike[str] = "wwopt-journal") -> list[Synced]:
    """Deliver what processes that are gone have left, each number once; runs they did not end have failed.

    Parameters
    ----------
    path : path
        A folder of journals, or one journal.

    Returns
    -------
    list of Synced
        One for each journal, and for each promotion that was queued.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    """
    return [*map(_sync, find_journals(path)), *map(_link, queue_of(path))]


def _sync(path: Path) -> Synced:
    from wwopt_trackers.delivery.sender import finalize  # noqa: PLC0415  (a training never loads the sender)

    try:
        journal = Journal(path)
    except ValueError as error:
        return Synced(path, "unreadable", str(error))
    kind = journal.about["kind"]
    journal.close()
    if kind == "local":
        return Synced(path, "local")
    try:
        fault = finalize(path)
    except TimeoutError:
        return Synced(path, "in progress")
    return Synced(path, "pending" if fault else "delivered", fault)


def _link(request: Path) -> Synced:
    try:
        queued = link(request) == QUEUED
    except Exception as error:  # noqa: BLE001  (W&B raises anything)
        return Synced(request, "pending", f"{type(error).__name__}: {error}")
    return Synced(request, "queued", "W&B's server needs a key") if queued else Synced(request, "delivered")
