"""Schedule of a training's evaluations: after which of its steps, counted from 0, the weights are analysed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from wwopt.weights import open_weights

__all__ = ["EvenlySpaced", "EveryNSteps", "PowersOfTwo", "Schedule", "choose_schedule"]

MIN_EVALUATIONS, MAX_EVALUATIONS = 2, 8  # of one training, where they are spaced evenly
SHARE = 0.04  # of the operations of a training that its evaluations may take together
EXAMPLES = 1000  # that a step is assumed to train on: an epoch of a small data set
OVERHEAD = 6e8  # operations that take as long as an evaluation does apart from what grows with the layers
GROWING = 6  # times the operations of a layer's decomposition: its scales are fixed, and it is decomposed again


class Schedule(Protocol):
    """Steps after which a training is evaluated."""

    def is_due(self, step: int) -> bool:
        """Whether an evaluation is due after a step."""
        ...


@dataclass(frozen=True)
class EveryNSteps:
    """After every ``n`` steps, and after the last where the number of steps is known."""

    n: int
    n_steps: int | None = None

    def is_due(self, step: int) -> bool:
        """Whether an evaluation is due after a step."""
        return (step + 1) % self.n == 0 or step + 1 == self.n_steps


@dataclass(frozen=True)
class EvenlySpaced:
    """After ``count`` steps in equal distances; the last of them is the last of ``n_steps``."""

    count: int
    n_steps: int

    def is_due(self, step: int) -> bool:
        """Whether an evaluation is due after a step."""
        return step + 1 in {math.ceil(part * self.n_steps / self.count) for part in range(1, self.count + 1)}


@dataclass(frozen=True)
class PowersOfTwo:
    """After 1, 2, 4, 8, ... steps."""

    def is_due(self, step: int) -> bool:
        """Whether an evaluation is due after a step."""
        return (step + 1).bit_count() == 1


def choose_schedule(every: int | Literal["auto"], model: object, n_steps: int | None) -> Schedule:
    """Choose when a training is evaluated.

    "auto" depends on the shapes of the layers and the number of steps, never on a clock: two to eight evaluations, as
    many as take no more than 4% of the training. Where the number of steps is not known, after 1, 2, 4, 8, ... steps.

    Parameters
    ----------
    every : int or "auto"
        Steps between two evaluations.
    model : torch.nn.Module, mapping or path
        What is trained.
    n_steps : int or None
        Steps that the training will take.

    Examples
    --------
    >>> schedule = choose_schedule(3, {}, n_steps=8)
    >>> [step for step in range(8) if schedule.is_due(step)]
    [2, 5, 7]
    """
    if every != "auto":
        return EveryNSteps(every, n_steps)
    if n_steps is None:
        return PowersOfTwo()
    return EvenlySpaced(min(max(_affordable(model, n_steps), MIN_EVALUATIONS), MAX_EVALUATIONS), n_steps)


def _affordable(model: object, n_steps: int) -> int:
    """Number of evaluations that together take `SHARE` of a training's operations."""
    matrices = open_weights(model).matrices
    step = 6 * EXAMPLES * sum(matrix.k * matrix.N * matrix.M for matrix in matrices)
    return int(SHARE * n_steps * step / (OVERHEAD + GROWING * sum(matrix.operations for matrix in matrices)))
