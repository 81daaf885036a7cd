"""What a backend has to offer, and which backends there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wwopt_trackers.journal.records import Delivery, Entry, Run

__all__ = ["Destination", "Point", "RemoteRun", "connect"]

Point = tuple[str, int, int, float]  # key, step, time, value


class RemoteRun(Protocol):
    """A run at the backend. What fails raises; it is tried again."""

    name: str
    fresh: bool  # the backend takes nothing twice: everything is sent again from the start

    def send(self, entries: Sequence[Entry]) -> None:
        """Send scalars."""

    def attach(self, folder: Path, entry: Entry) -> None:
        """Send the files of a step."""

    def illustrate(self, pictures: Sequence[Path]) -> None:
        """Send the pictures of a run."""

    def close(self, run: Run, last: Sequence[Entry]) -> None:
        """End the run with its state and the last number under each key; raises when it did not arrive in full."""


class Destination(Protocol):
    """A backend. What fails raises; it is tried again."""

    def check(self) -> None:
        """Raise within seconds when the backend does not answer."""

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> RemoteRun:
        """Create a run, or find the one that an earlier attempt (``delivery``) has made."""

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what the backend has of a run under these names."""

    def forget(self) -> None:
        """Let go of what may be broken after a failure."""


def connect(about: Mapping[str, Any]) -> Destination:
    """Reach the backend that a journal is for."""
    if about["kind"] == "mlflow":
        from wwopt_trackers.backends.mlflow.backend import MLflowDestination  # noqa: PLC0415  (each backend only where it is used)

        return MLflowDestination(about)
    if about["kind"] == "wandb":
        from wwopt_trackers.backends.wandb.backend import WandbDestination  # noqa: PLC0415

        return WandbDestination(about)
    if about["kind"] == "accelerate":
        from wwopt_trackers.accelerate import AccelerateDestination  # noqa: PLC0415

        return AccelerateDestination(about)
    raise ValueError(f"A journal of a {about['kind']} tracker is not delivered anywhere.")
