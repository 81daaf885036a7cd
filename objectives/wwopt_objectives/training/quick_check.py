"""Quick check of a network for collapse and divergence, without any decomposition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.diagnosis import MAX_TRAP_ENERGY, MIN_STABLE_RANK
from wwopt.engine.settings import Settings
from wwopt.null import correlation_traps
from wwopt.weights import find_faults, open_weights

if TYPE_CHECKING:
    from wwopt.arrays import Values
    from wwopt.weights import NamedTensor, WeightMatrix, Weights

__all__ = ["fails_quick_check"]

LAYER_OPTIONS = ("include", "exclude", "min_evals", "max_evals")
ITERATIONS = 4  # of the power method: one direction that holds two thirds of the energy is found to a few percent


def fails_quick_check(model: object, options: Mapping[str, Any]) -> bool:
    """Whether a layer that `wwopt.analyze` would measure, or another tensor, seems broken.

    Only an evaluation can tell for certain.

    It takes about a twentieth of the time of an evaluation: extremes of the elements, and a few steps of the power
    method.

    Parameters
    ----------
    model : torch.nn.Module, mapping or path
        What `wwopt.analyze` takes.
    options : mapping
        Its arguments, for the choice of layers. With a ``base`` there is no quick check, and the answer is True.
    """
    if options.get("base") is not None:
        return True
    settings = Settings(**{name: value for name, value in options.items() if name in LAYER_OPTIONS})
    weights = open_weights(model)
    matrices = [matrix for matrix in weights.matrices if settings.reason_to_skip(matrix) is None]
    return not matrices or any(map(_seems_broken, matrices)) or _has_faults(weights, settings)


def _has_faults(weights: Weights, settings: Settings) -> bool:
    """Whether a tensor that is no layer of the analysis is broken."""
    small = [matrix for matrix in weights.matrices if settings.reason_to_skip(matrix) is not None]
    others: list[NamedTensor | WeightMatrix] = [*small, *(vector for _, vector in weights.vectors), *weights.rest]
    return any(find_faults(tensor for tensor in others if settings.covers(tensor.name)))


def _seems_broken(matrix: WeightMatrix) -> bool:
    """Whether a layer is not finite or zero, or seems to have collapsed, or to hold stray elements."""
    stack = matrix.read()
    stack = np.ascontiguousarray(stack, np.promote_types(stack.dtype, np.float32))  # twice as fast as double precision
    with np.errstate(all="ignore"):
        energies = np.einsum("knm,knm->kn", stack, stack)  # of the rows
        energy = float(energies.sum())
        if not (math.isfinite(energy) and energy > 0) or energy < MIN_STABLE_RANK * _largest_eigenvalue(
            stack, energies
        ):
            return True
        return (
            matrix.rank is None and _stands_out(stack, energies) and correlation_traps(stack).energy > MAX_TRAP_ENERGY
        )


def _stands_out(stack: Values, energies: Values) -> bool:
    """Whether an element of any matrix may be a trap: most have none, and their extremes tell it."""
    size = stack[0].size
    mean = stack.mean(axis=(1, 2))
    variance = energies.sum(axis=1) / size - mean**2
    farthest = np.maximum(stack.max(axis=(1, 2)) - mean, mean - stack.min(axis=(1, 2)))
    return not bool((farthest <= np.sqrt(variance) * size**0.25).all())  # NaN may be anything


def _largest_eigenvalue(stack: Values, energies: Values) -> float:
    """Largest eigenvalue of any W'W of a stack, from below; near where one direction holds most of a matrix."""
    v = stack[np.arange(len(stack)), energies.argmax(axis=1)][:, :, None]
    for _ in range(ITERATIONS):
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.finfo(v.dtype).tiny)
        Wv = stack @ v
        v = stack.swapaxes(1, 2) @ Wv
    return float(np.square(Wv).sum(axis=(1, 2)).max())
