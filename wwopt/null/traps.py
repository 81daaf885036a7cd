"""Correlation traps: large eigenvalues that survive a shuffle of the elements, counted without a decomposition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from wwopt.spectra import element_blocks, moments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wwopt.arrays import Floats, Values
    from wwopt.spectra import Moments

__all__ = ["Traps", "correlation_traps"]

FALSE_ALARM = 0.01  # probability that a matrix of Gaussian noise shows a trap


@dataclass(frozen=True)
class Traps:
    """Large eigenvalues of a layer that survive a shuffle of its elements.

    Attributes
    ----------
    num_traps : int
        Number of such eigenvalues: one for a shifted mean, one for each outlying element.
    energy : float
        Share of the sum of squares in the outlying elements, in units of the variance.
        A small share is common in good networks; see `wwopt.diagnosis` for the limits.
    """

    num_traps: int
    energy: float


def correlation_traps(stack: Values, moments: Sequence[Moments] | None = None) -> Traps:
    """Count the eigenvalues of a stack of matrices that survive a shuffle of the elements.

    A shuffled matrix of independent elements shows one eigenvalue above the Marchenko-Pastur edge for a
    mean beyond ``s (NM)^-1/4`` and one for each element further than ``s (NM)^1/4`` from the mean. In
    small matrices noise gets that far by chance, so both limits are raised to a false alarm of 1%.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Finite values.
    moments : sequence of Moments, optional
        Moments of each matrix; None computes them.

    Returns
    -------
    Traps

    Notes
    -----
    Elements whose distribution has a tail index below 4 always have traps: their largest grow faster than
    ``(NM)^1/4``, and no edge bounds their spectrum.

    References
    ----------
    Baik, Ben Arous, Peche (2005), Annals of Probability 33(5): the transition. Martin, Mahoney (2021),
    JMLR 22(165): correlation traps.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(1, 60, 50))
    >>> W[0, 7, 5] = 40
    >>> correlation_traps(W).num_traps
    1
    """
    k, size = len(stack), stack[0].size
    traps, energy = 0, 0.0
    of_mean, of_element = _limit(size, k), _limit(size, k * size)
    for W, x in zip(stack, moments_of(stack) if moments is None else moments, strict=True):
        traps += abs(x.mean) * math.sqrt(size) > x.std * of_mean
        limit = x.std * of_element
        if max(x.high - x.mean, x.mean - x.low) > limit > 0:
            outlying = _outlying(W, x, limit)
            traps += len(outlying)
            energy += float(np.square(outlying / x.std).sum())
    return Traps(num_traps=int(traps), energy=energy / stack.size)


def _outlying(W: Values, moments: Moments, limit: float) -> Floats:
    """Deviations of the elements beyond a limit."""
    deviations = (x - moments.mean for x in element_blocks(W, moments.unit))
    return np.concatenate([x[np.abs(x) > limit] for x in deviations])


def _limit(size: int, tests: int) -> float:
    """Return the number of standard deviations beyond which one of ``tests`` values makes a spike."""
    return max(math.sqrt(math.sqrt(size)), -float(special.ndtri(FALSE_ALARM / (2 * tests))))
