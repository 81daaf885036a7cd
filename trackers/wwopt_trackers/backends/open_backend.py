"""The backend of a journal, opened by the kind of tracker that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wwopt_trackers.backends.protocol import Backend

__all__ = ["open_backend"]


def open_backend(about: Mapping[str, Any]) -> Backend:
    """Open the backend that a journal is for; ``about`` is what the journal says of its tracker.

    Raises
    ------
    ValueError
        It is a local journal, which is delivered nowhere.
    """
    match about["kind"]:
        case "mlflow":
            from wwopt_trackers.backends.mlflow.backend import MLflowBackend  # noqa: PLC0415  (loads mlflow)

            return MLflowBackend(about)
        case "wandb":
            from wwopt_trackers.backends.wandb.backend import WandbBackend  # noqa: PLC0415  (needs wandb)

            return WandbBackend(about)
        case "accelerate":
            from wwopt_trackers.backends.accelerate.backend import AccelerateBackend  # noqa: PLC0415  (needs accelerate)

            return AccelerateBackend(about)
        case kind:
            raise ValueError(f"A journal of a {kind} tracker is not delivered anywhere.")
