"""`Moments`: moments and extremes of a matrix's elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wwopt.arrays import Floats, Values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Moments", "element_blocks", "moments_of", "pool"]

Pieces = Callable[[], Iterable[Floats]]

BLOCK = 1 << 15  # elements at a time: three arrays of them stay in a core's cache
SMALLEST = -1000  # exponent of a unit: the inverse of a smaller one is infinite
CANCELLED = 1e-4  # share of the squared mean below which a difference has lost too many digits


@dataclass(frozen=True)
class Moments:
    """Moments and extremes of elements ``x``, in a unit that keeps their powers in range.

    Attributes
    ----------
    size : int
        Number of elements.
    unit : float
        A power of two; ``x`` are the elements divided by it.
    sums : tuple of four float
        Sums of ``x``, of its square, cube and fourth power.
    centred : tuple of three float
        Means of the square, the cube and the fourth power of ``x - mean``.
    low, high : float
        Least and greatest ``x``.
    """

    size: int
    unit: float
    sums: tuple[float, float, float, float]
    centred: tuple[float, float, float]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean of ``x``."""
        return self.sums[0] / self.size

    @property
    def std(self) -> float:
        """Standard deviation of ``x``."""
        return math.sqrt(self.centred[0])

    @property
    def kurtosis(self) -> float:
        """Fourth moment over the squared variance: 3 for a Gaussian; NaN where nothing varies."""
        return self.centred[2] / self.centred[0] ** 2 if self.centred[0] > 0 else math.nan


def moments_of(stack: Values) -> list[Moments]:
    """Compute the moments of each matrix of a stack, in one pass by blocks.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Finite values.

    Examples
    --------
    >>> moments = moments_of(np.array([[[1.0, 2.0], [3.0, 6.0]]]))[0]
    >>> moments.mean * moments.unit, moments.high * moments.unit
    (3.0, 6.0)
    """
    largest = max(abs(float(stack.min())), abs(float(stack.max())))
    unit = math.ldexp(1.0, max(math.frexp(largest)[1], SMALLEST)) if largest > 0 else 1.0
    if stack[0].size > BLOCK:
        return [_moments(W.size, unit, partial(element_blocks, W, unit)) for W in stack]
    rows = (row for few in _rows(stack, unit) for row in few)
    return [_moments(row.size, unit, partial(iter, (row,))) for row in rows]


def pool(moments: Sequence[Moments]) -> Moments:
    """Combine the moments of all matrices of a stack."""
    if len(moments) == 1:
        return moments[0]
    size = sum(each.size for each in moments)
    sums = tuple(math.fsum(each.sums[power] for each in moments) for power in range(4))
    mean = sums[0] / size
    second = third = fourth = 0.0
    for each in moments:
        off, share = each.mean - mean, each.size / size
        m2, m3, m4 = each.centred
        second += share * (m2 + off**2)
        third += share * (m3 + 3 * off * m2 + off**3)
        fourth += share * (m4 + 4 * off * m3 + 6 * off**2 * m2 + off**4)
    low, high = min(each.low for each in moments), max(each.high for each in moments)
    return Moments(size, moments[0].unit, sums, (second, third, fourth), low, high)  # type: ignore[arg-type]


def element_blocks(W: Values, unit: float) -> Iterator[Floats]:
    """Yield the elements over ``unit``, in double precision and in memory order."""
    rows = W.T if W.strides[0] < W.strides[1] else W
    step = max(1, BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        yield np.multiply(rows[start : start + step], 1 / unit, dtype=np.float64).ravel()


def _rows(stack: Values, unit: float) -> Iterator[Floats]:
    """Yield small matrices as rows of their elements, as many at a time as fit in the cache."""
    step = max(1, BLOCK // stack[0].size)
    for start in range(0, len(stack), step):
        few = stack[start : start + step]
        yield np.multiply(few.reshape(len(few), -1), 1 / unit, dtype=np.float64)


def _moments(size: int, unit: float, pieces: Pieces) -> Moments:
    sums, low, high = _sums(pieces())
    mean, m2, m3, m4 = (power / size for power in sums)
    variance = m2 - mean**2
    centred = variance, m3 - 3 * mean * m2 + 2 * mean**3, m4 - 4 * mean * m3 + 6 * mean**2 * m2 - 3 * mean**4
    if variance < CANCELLED * mean**2:
        (_, second, third, fourth), *_ = _sums(x - mean for x in pieces())
        centred = second / size, third / size, fourth / size
    return Moments(size, unit, sums, centred, low, high)


def _sums(pieces: Iterable[Floats]) -> tuple[tuple[float, float, float, float], float, float]:
    """Sums of the first four powers, and the extremes."""
    first = second = third = fourth = 0.0
    low, high = math.inf, -math.inf
    for x in pieces:
        square = x * x
        first += float(x.sum())
        second += float(x @ x)
        third += float(square @ x)
        fourth += float(square @ square)
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    return (first, second, third, fourth), low, high
