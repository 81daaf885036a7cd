"""What `train(trial)` may give back, turned into one stream of models."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from wwopt.weights import open_weights

__all__ = ["Checkpoint", "checkpoints", "is_power_of_two", "looks"]

FEWEST, MOST = 2, 8  # looks at one training
SHARE = 0.04  # of the operations of a training that its looks may take together
EXAMPLES = 1000  # that a step is assumed to train on: an epoch of a small data set
OVERHEAD = 2e8  # operations that would take as long as what a look takes besides the decompositions


@dataclass(frozen=True)
class Checkpoint:
    """A model as it stands after a step of training, with its training loss where that is known."""

    step: int
    model: Any
    loss: float | None


def checkpoints(result: object) -> Iterator[Checkpoint]:
    """Yield the models that `train` returned or yields.

    Raises
    ------
    TypeError
        What came is neither a model nor a pair of a model and its training loss.
    ValueError
        The generator ended before it yielded a model.
    """
    if not isinstance(result, Iterator):
        yield _checkpoint(0, result, "return")
        return
    step = -1
    for step, item in enumerate(result):
        yield _checkpoint(step, item, "yield")
    if step < 0:
        raise ValueError("`train` yielded nothing; yield the model after each epoch, or return it at the end.")


def _checkpoint(step: int, item: object, verb: str) -> Checkpoint:
    model, loss = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
    if not isinstance(model, (torch.nn.Module, Mapping, str, os.PathLike)):
        raise TypeError(
            f"`train` must {verb} a model (a torch.nn.Module, a state dict or a path to a checkpoint) "
            f"or a pair (model, train_loss), got {_named(item)}."
        )
    return Checkpoint(step, model, None if loss is None else _as_loss(loss))


def _named(item: object) -> str:
    if item is None:
        return "None; is a `return` or `yield` missing"
    return f"({', '.join(type(part).__name__ for part in item)})" if isinstance(item, tuple) else type(item).__name__


def _as_loss(loss: Any) -> float:
    try:
        return float(loss)
    except (TypeError, ValueError) as error:
        raise TypeError(f"The `train_loss` beside the model must be a number, got {type(loss).__name__}.") from error


def looks(every: int | Literal["auto"], model: object, n_steps: int | None) -> Callable[[int], bool]:
    """Decide which steps of a training are looked at; of the step that is the last in ``n_steps`` always.

    "auto" is decided from the layers' shapes and the number of steps, never from a clock: two to eight looks in equal
    distances, so many that they take no more than `SHARE` of the training. Where the number of steps is not known, they
    come after 1, 2, 4, 8, ... steps.
    """
    if every != "auto":
        return lambda step: (step + 1) % every == 0 or step + 1 == n_steps
    if n_steps is None:
        return is_power_of_two
    count = min(max(int(_affordable(model, n_steps)), FEWEST), MOST)
    steps = {math.ceil(part * n_steps / count) - 1 for part in range(1, count + 1)}
    return steps.__contains__


def is_power_of_two(step: int) -> bool:
    """Whether 1, 2, 4, 8, ... steps are done."""
    return (step + 1) & step == 0


def _affordable(model: object, n_steps: int) -> float:
    """Number of looks that together take `SHARE` of a training's operations."""
    matrices = open_weights(model).matrices
    step = 6 * EXAMPLES * sum(matrix.k * matrix.N * matrix.M for matrix in matrices)
    return SHARE * n_steps * step / (OVERHEAD + 2 * sum(matrix.operations for matrix in matrices))
