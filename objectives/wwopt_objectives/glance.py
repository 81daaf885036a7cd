"""A glance at a network: whether it seems to have collapsed or diverged, without any decomposition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.settings import Settings
from wwopt.traps import correlation_traps
from wwopt.weights import open_weights
from wwopt_objectives.constraints import FEWEST_DIRECTIONS, MOST_TRAPPED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.weights import WeightMatrix

__all__ = ["seems_broken"]

CHOICES = ("include", "exclude", "min_evals", "max_evals")
ITERATIONS = 8  # of the power method: one direction that holds two thirds of the energy is found to 1e-5


def seems_broken(model: object, options: Mapping[str, Any]) -> bool:
    """Whether a layer that `wwopt.analyze` would look at seems broken; only a look in full can tell.

    It takes about a tenth of the time of a look: moments of the elements, and a few steps of the power method.

    Parameters
    ----------
    model : torch.nn.Module, mapping or path
        What `wwopt.analyze` takes.
    options : mapping
        Its arguments, for the choice of layers.
    """
    if "base" in options:
        return True
    settings = Settings(**{name: value for name, value in options.items() if name in CHOICES})
    matrices = [matrix for matrix in open_weights(model).matrices if settings.reason_to_skip(matrix) is None]
    return not matrices or any(map(_is_broken, matrices))


def _is_broken(matrix: WeightMatrix) -> bool:
    stack = matrix.read().astype(np.float64)
    with np.errstate(all="ignore"):
        energy = float(np.square(stack).sum())
        if not (np.isfinite(energy) and energy > 0):
            return True
        trapped = matrix.rank is None and correlation_traps(stack).energy > MOST_TRAPPED
        return trapped or bool(energy < FEWEST_DIRECTIONS * _largest_eigenvalue(stack))


def _largest_eigenvalue(stack: NDArray[np.float64]) -> float:
    """Largest eigenvalue of any W'W of a stack, from below; near where one direction holds most of a matrix."""
    longest = np.square(stack).sum(axis=2).argmax(axis=1)
    v = stack[np.arange(len(stack)), longest][:, :, None]
    for _ in range(ITERATIONS):
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        Wv = stack @ v
        v = stack.swapaxes(1, 2) @ Wv
    return float(np.square(Wv).sum(axis=(1, 2)).max())
