"""What a random matrix of the same shape would show: the Marchenko-Pastur law and correlation traps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from wwopt.spectra import row_blocks

__all__ = ["Traps", "correlation_traps", "marchenko_pastur_edge", "marchenko_pastur_quantiles"]

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]

STRONG_TRAP = 0.02  # energy in stray elements above which a layer has diverged; many good layers have a weak trap
FALSE_ALARM = 0.01  # chance that a matrix of Gaussian noise shows a trap
GRID = 4096
CANCELLED = 1e-6  # share of the squared mean below which a difference has lost too many digits


def marchenko_pastur_edge(N: int, M: int, variance: float = 1.0) -> float:
    """Largest eigenvalue of W'W that noise reaches in the limit: ``variance (sqrt(N) + sqrt(M))^2``.

    Parameters
    ----------
    N, M : int
        Shape of W.
    variance : float
        Variance of the elements of W.

    References
    ----------
    Marchenko, Pastur (1967), Mathematics of the USSR-Sbornik 1(4).

    Examples
    --------
    >>> marchenko_pastur_edge(100, 25)
    225.0
    """
    return float(variance * (math.sqrt(N) + math.sqrt(M)) ** 2)


def marchenko_pastur_quantiles(Q: float, levels: Floats) -> Floats:
    """Quantiles of the eigenvalues of W'W/N for noise of unit variance.

    Parameters
    ----------
    Q : float
        Aspect ratio N/M, at least 1.
    levels : array, shape (n,)
        Probabilities in [0, 1].

    Returns
    -------
    array, shape (n,)
        Values between ``(1 - Q^-1/2)^2`` and ``(1 + Q^-1/2)^2``.
    """
    x, cumulative = _marchenko_pastur_distribution(Q)
    return np.interp(levels, cumulative, x)


@lru_cache(maxsize=256)
def _marchenko_pastur_distribution(Q: float) -> tuple[Floats, Floats]:
    """Distribution function on a grid that is dense at both edges, by the substitution x = mid - radius cos(t)."""
    y = 1 / Q
    t = np.linspace(0, np.pi, GRID + 1)
    x = 1 + y - 2 * np.sqrt(y) * np.cos(t)
    middle = (t[1:] + t[:-1]) / 2
    mass = np.sin(middle) ** 2 / (1 + y - 2 * np.sqrt(y) * np.cos(middle))
    cumulative = np.concatenate([[0.0], np.cumsum(mass)])
    return x, cumulative / cumulative[-1]


@dataclass(frozen=True)
class Traps:
    """Large eigenvalues that survive a shuffle of the elements, found without any decomposition.

    Attributes
    ----------
    num_traps : int
        Number of such eigenvalues: one for a shifted mean, one for each element that stands out.
    energy : float
        Share of the sum of squares that sits in the elements that stand out, in units of the variance.
        Above about .02 the layer has diverged; a small share is common in good networks.
    """

    num_traps: int
    energy: float


def correlation_traps(stack: Values) -> Traps:
    """Count the eigenvalues of a stack of matrices that any shuffle of the elements would keep.

    A shuffled matrix of independent elements shows one eigenvalue above the Marchenko-Pastur edge for a
    mean beyond ``s (NM)^-1/4`` and one for each element further than ``s (NM)^1/4`` from the mean. In
    small matrices noise gets that far by chance, so both limits are raised to a false alarm of 1%.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Finite values.

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
    for W in stack:
        elements = _elements(W)
        traps += abs(elements.mean) * math.sqrt(size) > elements.std * _limit(size, k)
        limit = elements.std * _limit(size, k * size)
        if max(elements.high - elements.mean, elements.mean - elements.low) > limit > 0:
            outlying = _outlying(W, elements.mean, limit)
            traps += len(outlying)
            energy += float(np.square(outlying / elements.std).sum())
    return Traps(num_traps=int(traps), energy=energy / stack.size)


@dataclass(frozen=True)
class _Elements:
    """What is to be known of a matrix's elements, whatever their order."""

    mean: float
    std: float
    low: float
    high: float


def _elements(W: Values) -> _Elements:
    """Pass over a matrix once, block by block."""
    total, squares, low, high = 0.0, 0.0, math.inf, -math.inf
    for block in row_blocks(W):
        x = block.astype(np.float64).ravel(order="K")
        total += float(x.sum())
        squares += float(x @ x)
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    mean = total / W.size
    variance = squares / W.size - mean**2
    if variance < CANCELLED * mean**2:
        variance = sum(float(np.square(block - mean).sum()) for block in row_blocks(W)) / W.size
    return _Elements(mean, math.sqrt(variance), low, high)


def _outlying(W: Values, mean: float, limit: float) -> Floats:
    """Deviations of the elements beyond a limit."""
    deviations = (block.astype(np.float64) - mean for block in row_blocks(W))
    return np.concatenate([x[np.abs(x) > limit] for x in deviations])


def _limit(size: int, tests: int) -> float:
    """Return the standard deviations beyond which one of ``tests`` values makes a spike, out of reach of noise."""
    return max(math.sqrt(math.sqrt(size)), -float(special.ndtri(FALSE_ALARM / (2 * tests))))
