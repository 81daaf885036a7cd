"""Limit laws of random matrices: Marchenko-Pastur for all eigenvalues, Tracy-Widom for the largest."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = [
    "marchenko_pastur_edge",
    "marchenko_pastur_quantiles",
    "marchenko_pastur_spectrum",
    "tracy_widom_quantile",
    "tracy_widom_scaling",
    "tracy_widom_sf",
]

GRID = 4096  # steps of the tabulated distribution function
SHAPE, SCALE, SHIFT = 46.446, 0.186054, 9.84801  # of the gamma law that approximates Tracy-Widom's within 2e-4


def marchenko_pastur_edge(N: int, M: int, variance: float = 1.0) -> float:
    """Largest eigenvalue of W'W for noise, in the limit of large matrices: ``variance (sqrt(N) + sqrt(M))^2``.

    Parameters
    ----------
    N, M : int
        Shape of W.
    variance : float
        Variance of the elements of W.

    Returns
    -------
    float

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

    Examples
    --------
    >>> marchenko_pastur_quantiles(4.0, np.array([0.0, 1.0])).tolist()
    [0.25, 2.25]
    """
    x, cumulative = _marchenko_pastur_distribution(Q)
    return np.interp(levels, cumulative, x)


@lru_cache(maxsize=256)
def marchenko_pastur_spectrum(N: int, M: int) -> Floats:
    """Eigenvalues of W'W/N for noise of unit variance, in the limit; shape (M,), ascending, read-only."""
    spectrum = marchenko_pastur_quantiles(N / M, (np.arange(M) + 0.5) / M)
    spectrum.flags.writeable = False
    return spectrum


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


def tracy_widom_scaling(N: int, M: int) -> tuple[float, float]:
    """Centre and width of the largest eigenvalue of W'W for noise of unit variance.

    ``(lambda_max - centre) / width`` follows the Tracy-Widom law of order 1, to second order in the size.

    References
    ----------
    Johnstone (2001), Annals of Statistics 29(2); the half shifts: Ma (2012), Bernoulli 18(1).

    Examples
    --------
    >>> centre, width = tracy_widom_scaling(100, 100)
    >>> round(centre), round(width, 2)
    (398, 11.68)
    """
    n, p = math.sqrt(N - 0.5), math.sqrt(M - 0.5)
    return (n + p) ** 2, (n + p) * (1 / n + 1 / p) ** (1 / 3)


def tracy_widom_sf(z: Floats) -> Floats:
    """Survival function of the Tracy-Widom law of order 1: the probability of more than ``z``.

    Parameters
    ----------
    z : array_like
        Scaled eigenvalues, as by `tracy_widom_scaling`.

    Returns
    -------
    array, shape of z
        Probabilities in [0, 1].

    References
    ----------
    Chiani (2014), Distribution of the largest eigenvalue for real Wishart matrices, J. Multivariate Analysis 129.
    """
    return np.asarray(special.gammaincc(SHAPE, np.maximum(np.asarray(z) + SHIFT, 0.0) / SCALE))


def tracy_widom_quantile(upper: float) -> float:
    """Value that the Tracy-Widom law of order 1 exceeds with the probability ``upper``.

    Examples
    --------
    >>> round(tracy_widom_quantile(0.05), 2)
    0.98
    """
    return float(special.gammainccinv(SHAPE, upper) * SCALE - SHIFT)
