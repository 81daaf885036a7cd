"""What several outputs are, told by how they move together: classes or values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Floats

__all__ = ["kind_of_columns"]

# On the 14 tasks of classes and tokens of `benchmarks/selection` a quarter of the networks lie below 0.09, on its three
# of values below 0.55, 0.89 and 1.46; where each class is learned against the rest, below 0.3.
TOGETHER = 0.4
MIN_COLUMNS = 3
PROBABLE = 1e-3  # how far probabilities of an input may be from a sum of 1


def kind_of_columns(answers: Sequence[NDArray[Any]]) -> Literal["classes", "values"]:
    """Tell whether the outputs of networks for one task are classes or values.

    A softmax never moves the mean of its inputs: its gradient adds up to zero over the classes. So the mean of the
    columns hardly varies from input to input in networks that have learned classes, while values, such as the pixels of
    an image, vary together. Networks that have learned little are in between, so that the lowest quarter decides.

    Parameters
    ----------
    answers : sequence of ndarray, shape (inputs, outputs) or (inputs, positions, outputs)
        Finite, one for each network.

    Returns
    -------
    {"classes", "values"}
        "classes" for probabilities and their logarithms too, and for two outputs, where there is not enough to tell.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pixels = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 8))
    >>> kind_of_columns([pixels]), kind_of_columns([pixels - pixels.mean(axis=1, keepdims=True)])
    ('values', 'classes')
    """
    rows = [array.reshape(-1, array.shape[-1]) for array in answers]
    rows = [one for one in rows if one.shape[1] >= MIN_COLUMNS and one.var(axis=0).mean() > 0]
    if not rows or any(_are_probabilities(one) for one in rows):
        return "classes"
    together = [one.shape[1] * one.mean(axis=1).var() / one.var(axis=0).mean() for one in rows]
    return "values" if np.quantile(together, 0.25) > TOGETHER else "classes"


def _are_probabilities(rows: Floats) -> bool:
    """Whether each row adds up to 1, as probabilities do, or as the exponentials of logarithms do."""
    largest = rows.max()
    if largest > 1 + PROBABLE:
        return False
    sums = rows.sum(axis=1) if rows.min() >= 0 else np.exp(rows).sum(axis=1)
    return bool((np.abs(sums - 1) < PROBABLE).all())
