"""Models in training: what `train(trial)` returns or yields, as one stream."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["TrainedModel", "trained_models"]


@dataclass(frozen=True)
class TrainedModel:
    """A model as it stands after a step of training, with its training loss where that is known."""

    step: int
    model: Any
    loss: float | None


def trained_models(result: object) -> Iterator[TrainedModel]:
    """Yield the models that `train` returned or yields.

    Raises
    ------
    TypeError
        What came is neither a model nor a pair of a model and its training loss.
    ValueError
        The generator ended before it yielded a model.
    """
    if not isinstance(result, Iterator):
        yield _trained_model(0, result, "return")
        return
    step = -1
    for step, item in enumerate(result):
        yield _trained_model(step, item, "yield")
    if step < 0:
        raise ValueError("`train` yielded nothing; yield the model after each epoch, or return it at the end.")


def _trained_model(step: int, item: object, verb: str) -> TrainedModel:
    model, loss = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
    if not isinstance(model, (torch.nn.Module, Mapping, str, os.PathLike)):
        raise TypeError(
            f"`train` must {verb} a model (a torch.nn.Module, a state dict or a path to a checkpoint) "
            f"or a pair (model, train_loss), got {_type_of(item)}."
        )
    return TrainedModel(step, model, None if loss is None else _as_loss(loss))


def _type_of(item: object) -> str:
    if item is None:
        return "None; is a `return` or `yield` missing"
    return f"({', '.join(type(part).__name__ for part in item)})" if isinstance(item, tuple) else type(item).__name__


def _as_loss(loss: Any) -> float:
    try:
        return float(loss)
    except (TypeError, ValueError) as error:
        raise TypeError(f"The `train_loss` beside the model must be a number, got {type(loss).__name__}.") from error
