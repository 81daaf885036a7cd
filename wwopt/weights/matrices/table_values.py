"""What the values of a table show that nobody learned: a mask, sinusoids, steps, a bank of filters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.arrays import Floats, Values
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["MASK", "is_positive", "kind_of_values"]

MASK = "a mask by its values, not a weight"
SINUSOIDS = "a table of sinusoids or of steps, which is not learned"
FILTERS = "a bank of filters, which is not learned"
LARGEST = 1 << 24  # elements that are looked at
FEWEST = 8  # positions from which on a recurrence says something
POSITIONS, FEATURES = 128, 512  # that are looked at
ROUNDING = {"float64": 1e-3, "float32": 1e-3}  # relative deviation from a recurrence; trained tables have over 5%
COARSE = 2e-2  # of formats of 16 bits
NOTHING = 1e-8  # share of the largest energy of a feature up to which one holds rounding errors alone
SPARSE = 0.5  # share of zeros in a bank of filters


def kind_of_values(tensor: NamedTensor) -> str | None:
    """Say what a table holds that is not learned; None where its values tell nothing.

    Parameters
    ----------
    tensor : NamedTensor
        Of two or more dimensions. At most `LARGEST` elements are read.
    """
    if math.prod(tensor.shape) > LARGEST:
        return None
    values = tensor.read()
    if _is_mask(values):
        return MASK
    with np.errstate(invalid="ignore"):  # a NaN of a damaged file may signal
        table = np.asarray(np.squeeze(values), dtype=np.float64)
    if table.ndim < 2 or not np.isfinite(table).all() or not table.any():
        return None
    tolerance = ROUNDING.get(tensor.dtype, COARSE)
    if any(_oscillates(view, tolerance) for view in _by_position(table)):
        return SINUSOIDS
    flat = table.reshape(len(table), -1)
    return FILTERS if any(_is_filters(view) for view in (flat, flat.T)) else None


def is_positive(tensor: NamedTensor) -> bool:
    """Whether every value is above zero, as of a gain; the values of a layer's matrix have both signs."""
    values = tensor.read()
    first = values[0]
    return bool(first.size and (first > 0).all() and (values > 0).all())


def _is_mask(values: Values) -> bool:
    """Whether there are two values, of which one is zero, and the other as a mask has it: one, or far below zero."""
    sample = values.reshape(-1)[: 1 << 12]
    other = sample[np.flatnonzero(sample)[:1]]
    if not other.size or not (other[0] == 1 or other[0] <= -100):
        return False
    return bool((values == 0).any() and ((values == 0) | (values == other[0])).all())


def _by_position(table: Floats) -> list[Floats]:
    """Views of a table with the positions first and the features second: each axis, and the rows of a square grid."""
    views = [np.moveaxis(table, axis, 0).reshape(table.shape[axis], -1) for axis in range(table.ndim)]
    if table.ndim == 2:
        for rows in (table, table[1:]):  # beside the places of an image there may be one of a class token
            side = math.isqrt(len(rows))
            if side >= FEWEST and side * side == len(rows):
                views.append(rows.reshape(side, -1))
    return views


def _oscillates(table: Floats, tolerance: float) -> bool:
    """Whether ``x[p + 1] + x[p - 1] = c x[p]`` in every feature: sinusoids, and steps of equal size.

    A Fourier basis in a window does so from frequency to frequency; its imaginary part may follow as the other half.
    """
    x = table[: min(POSITIONS, max(FEWEST, len(table) // 2)), :: max(1, table.shape[1] // FEATURES)]
    if len(x) < FEWEST or not np.ptp(x, axis=0).any():
        return False
    neighbours, middle = x[2:] + x[:-2], x[1:-1]
    energy = np.square(middle).sum(axis=0)
    factor = np.divide((neighbours * middle).sum(axis=0), energy, out=np.zeros(x.shape[1]), where=energy > 0)
    rest = np.square(neighbours - factor * middle).sum(axis=0)
    return bool((rest <= np.maximum(tolerance**2 * energy, NOTHING * energy.max())).all())


def _is_filters(table: Floats) -> bool:
    """Whether each row is one bump without negative values, at places that rise: the filters of a spectrogram."""
    if min(table.shape) < FEWEST or (table < 0).any() or (table == 0).mean() < SPARSE:
        return False
    on = table > 0
    starts = (np.diff(on, axis=1, prepend=False) & on).sum(axis=1)
    first = on.argmax(axis=1)[on.any(axis=1)]
    return bool((starts <= 1).all() and len(first) > 2 and (np.diff(first) >= 0).all() and first[-1] > first[0])
