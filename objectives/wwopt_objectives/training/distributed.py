"""Several processes that train one network: rank 0 looks, and all hear the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

__all__ = ["from_rank_zero", "is_distributed"]

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_rank_zero(work: Callable[[], T]) -> T:
    """Do something on rank 0 alone, and return its result on every rank; every rank must call.

    What it raises there is raised on every rank, so that none waits for another.
    """
    if not is_distributed():
        return work()
    box: list[object] = [None, None]
    if dist.get_rank() == 0:
        try:
            box[0] = work()
        except Exception as error:  # noqa: BLE001  (raised again below, everywhere)
            box[1] = error
    dist.broadcast_object_list(box, src=0)
    if isinstance(box[1], Exception):
        raise box[1]
    return box[0]  # type: ignore[return-value]
