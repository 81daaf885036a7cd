"""Inputs of a module: shapes that it may take, told by its first layer, and noise of such a shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Inputs", "find_inputs"]

CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
LENGTHS = (16, 32, 64, *range(128, 0, -1))  # the longest first: a table of positions is taken whole
SIDES = (8, 16, 32, 28, 64, 224, *range(96, 0, -1))  # small ones first: pooling a large map averages noise away
GRID = 4  # side of the coarse images whose enlargements are the smooth noise


@dataclass(frozen=True)
class Inputs:
    """Shape and kind of one input.

    Attributes
    ----------
    shape : tuple of int
        Without the batch.
    vocabulary : int
        Number of tokens, where the input holds token numbers; 0 where it holds real numbers.
    """

    shape: tuple[int, ...]
    vocabulary: int = 0

    def noise(self, count: int, like: Tensor, seed: int) -> list[Tensor]:
        """Draw batches: of uniform tokens, or of standard normal numbers; for images white ones and smooth ones."""
        draw = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            return [torch.randint(self.vocabulary, (count, *self.shape), generator=draw).to(like.device)]
        batches = [torch.randn(count, *self.shape, generator=draw)]
        if len(self.shape) == 3:
            coarse = torch.randn(count, self.shape[0], GRID, GRID, generator=draw)
            batches.append(nn.functional.interpolate(coarse, size=self.shape[1:], mode="bilinear"))
        return [batch.to(like) for batch in batches]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{size} tokens of {self.vocabulary}" if self.vocabulary else f"{size} numbers"


def find_inputs(model: nn.Module, shape: Sequence[int] | None = None) -> Iterator[Inputs]:
    """Yield inputs that a module may take, the likeliest first; with ``shape`` only inputs of that shape.

    The first layer tells the kind and the width; lengths and sides are guesses.

    Examples
    --------
    >>> [inputs.shape for inputs in find_inputs(nn.Linear(7, 2))][:2]
    [(7,), (16, 7)]
    """
    first = next((module for module in model.modules() if _width(module)), None)
    vocabulary = first.num_embeddings if isinstance(first, nn.Embedding) else 0
    if shape is not None:
        yield Inputs(tuple(shape), vocabulary)
    elif first is not None:
        yield from (Inputs(guess, vocabulary) for guess in _guesses(first))


def _width(module: nn.Module) -> int:
    names = ("in_channels", "in_features", "input_size", "num_embeddings")
    return next((int(getattr(module, name)) for name in names if isinstance(getattr(module, name, None), int)), 0)


def _guesses(first: nn.Module) -> Iterator[tuple[int, ...]]:
    width = _width(first)
    dimensions = next((n for kind, n in CONVOLUTIONS.items() if isinstance(first, kind)), 0)
    if isinstance(first, nn.Embedding):
        yield from ((length,) for length in LENGTHS)
    elif dimensions == 1:
        yield from ((width, length) for length in LENGTHS)
    elif dimensions:
        yield from ((width, *[side] * dimensions) for side in SIDES)
    elif isinstance(first, nn.RNNBase):
        yield LENGTHS[0], width
    else:
        yield (width,)
        yield from ((length, width) for length in LENGTHS[:3])
        yield from ((channels, side, side) for channels in (3, 1) for side in SIDES)
