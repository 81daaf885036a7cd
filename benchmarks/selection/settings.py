"""Hyper-parameters of a network, drawn at random from the ranges of its task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from benchmarks.selection.tasks import Task

__all__ = ["Settings", "draw"]


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of one network."""

    seed: int
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    batch: int
    epochs: int
    cosine: bool
    dropout: float
    width: int
    depth: int


def draw(task: Task, index: int) -> Settings:
    """Draw the settings of a task's network number ``index``; always the same."""
    rng = np.random.default_rng([*task.name.encode(), index])
    optimizer: Literal["sgd", "adamw"] = "sgd" if rng.random() < 0.5 else "adamw"
    return Settings(
        seed=int(rng.integers(2**31)),
        optimizer=optimizer,
        learning_rate=_log_uniform(rng, (1e-3, 1.0) if optimizer == "sgd" else (1e-5, 1e-1)),
        weight_decay=_log_uniform(rng, (1e-6, 1e-1)),
        batch=int(rng.choice(task.batches)),
        epochs=round(_log_uniform(rng, task.epochs)),
        cosine=bool(rng.random() < 0.5),
        dropout=float(rng.uniform(0, 0.5)),
        width=round(_log_uniform(rng, task.widths)),
        depth=int(rng.integers(task.depths[0], task.depths[1] + 1)),
    )


def _log_uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]))))
