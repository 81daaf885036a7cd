"""Tests of a layer against noise: p-values that need no simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from wwopt.null.laws import tracy_widom_scaling, tracy_widom_sf

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.spectra import Moments

__all__ = ["FALSE_ALARM", "is_flat", "looks_like_noise", "spike_p_values", "spread_p_values"]

FALSE_ALARM = 0.01  # probability that noise is called something else
EDGE_SHIFT = 0.8  # of the edge, per excess kurtosis of the elements: measured at sizes of 30 to 256; the limit is 1
TRACY_WIDOM_MEAN, TRACY_WIDOM_VARIANCE = -1.2065, 1.6078
FLAT = 0.1  # share of the spread of a random matrix; an orthogonal one rounded to bfloat16 has 0.003


def looks_like_noise(p_noise: Any, p_spike: Any) -> Any:
    """Whether neither the spread of a spectrum nor its largest eigenvalue differs from noise.

    Each is tested at half of `FALSE_ALARM`.

    Parameters
    ----------
    p_noise, p_spike : float, array or Series
        p-values; False where ``p_noise`` is NaN, while ``p_spike`` may be NaN.

    Examples
    --------
    >>> looks_like_noise(0.4, float("nan")), looks_like_noise(0.4, 1e-9)
    (True, False)
    """
    level = FALSE_ALARM / 2
    return (p_noise > level) & ((p_spike > level) | (p_spike != p_spike))  # noqa: PLR0124  (NaN)


def is_flat(evals: Floats, N: int, M: int) -> bool:
    """Whether eigenvalues spread far less than those of any random matrix, as of an orthogonal one but for rounding.

    Such a spectrum has no tail, and an exponent fitted to it would say nothing but how it was rounded.

    Parameters
    ----------
    evals : array, shape (n,)
        Positive eigenvalues of W'W.
    N, M : int
        Sides of the matrices, ``N >= M``. Of a random one the eigenvalues' standard deviation is ``sqrt(M / N)`` of
        their mean (Marchenko, Pastur 1967).

    Examples
    --------
    >>> is_flat(1 + 1e-7 * np.arange(64), 64, 64), is_flat(np.random.default_rng(0).exponential(size=64), 64, 64)
    (True, False)
    """
    return len(evals) > 1 and bool(np.std(evals) < FLAT * math.sqrt(M / N) * np.mean(evals))


def spread_p_values(evals: Floats, k: int, N: int, M: int, elements: Sequence[Moments]) -> Floats:
    """p-values of the spread of spectra, against the same elements in random order.

    The statistic is John's: the sum of the squared eigenvalues over the square of their sum. The sum itself does not
    change in a shuffle, and the mean of the statistic over all shuffles follows exactly from the first four moments of
    the elements; its variance is that of Gaussian elements, exact, plus what kurtosis and a mean add in large matrices.
    The distribution is approximated by a gamma law above the smallest possible value, with these two moments.

    Parameters
    ----------
    evals : array, shape (layers, k M)
        Eigenvalues of W'W, pooled over k matrices.
    k, N, M : int
        Shape of each layer.
    elements : sequence of Moments
        Of each layer's elements, pooled over its matrices.

    Returns
    -------
    array, shape (layers,)
        Probabilities: uniform for independent elements of any distribution with a fourth moment, near 0 for trained
        layers, near 1 for layers whose spectrum is narrower than noise's, as after orthogonal initialisation.

    References
    ----------
    John (1972), Biometrika 59(1); Ledoit, Wolf (2002), Annals of Statistics 30(4): in high dimensions; Letac, Massam
    (2004), Scandinavian J. Statistics 31(2): the moments of Wishart matrices.
    """
    least = 1 / evals.shape[1]
    statistic = np.square(evals).sum(axis=1) / np.square(evals.sum(axis=1))
    mean, variance = _moments_over_shuffles(k, N, M, elements)
    shape = np.square(mean - least) / variance
    return np.asarray(special.gammaincc(shape, shape * np.maximum(statistic - least, 0.0) / (mean - least)))


def spike_p_values(evals: Floats, k: int, N: int, M: int, elements: Sequence[Moments]) -> Floats:
    """p-values of the largest eigenvalues, by the Tracy-Widom law.

    The variance of the elements is taken from the trace, which makes the law a little narrower (Nadler 2011); their
    kurtosis moves the edge. The largest of k matrices is judged as such.

    Parameters
    ----------
    evals, k, N, M, elements
        As for `spread_p_values`.

    Returns
    -------
    array, shape (layers,)
        Probabilities. Elements with a tail index below 4 have no edge to test against: see `correlation_traps`.

    References
    ----------
    Johnstone (2001), Annals of Statistics 29(2); Nadler (2011), J. Multivariate Analysis 102(2).
    """
    size = k * N * M
    centre, width = tracy_widom_scaling(N, M)
    z = (evals[:, -1] * size / evals.sum(axis=1) - centre) / width
    excess = np.array([moments.kurtosis for moments in elements]) - 3
    z -= EDGE_SHIFT * excess / np.sqrt(N * M) * centre / width
    narrower = np.sqrt(max(1 - 2 * centre**2 / size / (TRACY_WIDOM_VARIANCE * width**2), 0.05))
    alone = tracy_widom_sf(TRACY_WIDOM_MEAN + (z - TRACY_WIDOM_MEAN) / narrower)
    return np.asarray(-np.expm1(k * np.log1p(-np.minimum(alone, 1 - 1e-16))))


def _moments_over_shuffles(k: int, N: int, M: int, elements: Sequence[Moments]) -> tuple[Floats, Floats]:
    """Mean and variance of John's statistic of each layer."""
    n = k * N * M
    p1, p2, p3, p4 = np.array([moments.sums for moments in elements]).T
    pairs = (p2**2 - p4) / (n * (n - 1))
    quadruples = (p1**4 - 6 * p1**2 * p2 + 8 * p1 * p3 + 3 * p2**2 - 6 * p4) / (n * (n - 1) * (n - 2) * (n - 3))
    mean = n * (p4 / n + (N + M - 2) * pairs + (N - 1) * (M - 1) * quadruples)
    mu = p1 / n
    s2 = np.array([moments.centred[0] for moments in elements])
    excess = np.array([moments.kurtosis for moments in elements]) - 1
    by_kurtosis = 2 * n * (N + M) * (excess**2 - 4) * s2**4
    by_mean = k * (N * M) ** 2 * (8 * mu**4 * s2**2 * (N + M) + 16 * mu**2 * s2**3)
    variance = _gaussian_variance(k, N, M) * (n * s2) ** 4 + by_kurtosis + by_mean
    return mean / p2**2, variance / p2**4


def _gaussian_variance(k: int, N: int, M: int) -> float:
    """Variance of John's statistic for Gaussian elements, where it is independent of the trace; in exact integers."""
    n = k * N * M
    first = k * N * M * (N + M + 1)
    cubic = N**3 * M + N**2 * (2 * M**2 + 2 * M + 8) + N * (M**3 + 2 * M**2 + 21 * M + 20) + 8 * M**2 + 20 * M + 20
    second = n * cubic + first**2 - first**2 // k
    return (second * n * (n + 2) - first**2 * (n + 4) * (n + 6)) / (n**2 * (n + 2) ** 2 * (n + 4) * (n + 6))
