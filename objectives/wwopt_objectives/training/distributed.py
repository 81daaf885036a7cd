"""Distributed training: work done on rank 0, with its result on every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch.distributed as dist

__all__ = ["from_rank_zero", "is_distributed"]

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_rank_zero(work: Callable[[], T]) -> T:
    """Run a function on rank 0 alone, and return its result on every rank; every rank must call.

    An exception on rank 0 is raised on every rank, so that none waits for another.
    """
    if not is_distributed():
        return work()
    outcome: list[tuple[T | None, Exception | None]] = [_run(work) if dist.get_rank() == 0 else (None, None)]
    dist.broadcast_object_list(outcome, src=0)
    result, error = outcome[0]
    if error is not None:
        raise error
    return cast("T", result)


def _run(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001  (raised on every rank)
        return None, error
