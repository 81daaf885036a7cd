"""Estimators of the power-law exponent alpha of a spectrum's tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PowerLawFit", "fit_powerlaw", "fit_powerlaws"]

Floats = NDArray[np.float64]

TIE = 1e-12  # distances closer than this are one: the smaller xmin is taken
PROBES = 16  # points of a tail at which its Kolmogorov-Smirnov distance is bounded from below
BLOCK = 1 << 20  # numbers held at a time


@dataclass(frozen=True)
class PowerLawFit:
    """A power law ``p(x) ~ x^-alpha`` fitted to ``x >= xmin``.

    Attributes
    ----------
    alpha : float
        Exponent, greater than 1.
    xmin, xmax : float
        Ends of the fitted range; ``xmax`` is the largest value.
    D : float
        Kolmogorov-Smirnov distance between the tail and the fit, in [0, 1].
    sigma : float
        Standard error of alpha, ``(alpha - 1) / sqrt(n)``.
    num_pl_spikes : int
        Number ``n`` of values in the tail.
    """

    alpha: float
    xmin: float
    xmax: float
    D: float
    sigma: float
    num_pl_spikes: int


def fit_powerlaw(evals: ArrayLike) -> PowerLawFit | None:
    """Fit alpha by maximum likelihood, with the xmin of least Kolmogorov-Smirnov distance.

    Parameters
    ----------
    evals : array_like, shape (n,)
        Positive values, in any order.

    Returns
    -------
    PowerLawFit or None
        None where no power law can be fitted: fewer than two values, or all the same.

    References
    ----------
    Clauset, Shalizi, Newman (2009), Power-law distributions in empirical data, SIAM Review 51(4),
    equations 3.1, 3.2 and 3.9.

    Examples
    --------
    >>> fit = fit_powerlaw([1.0, 2.0, 4.0, 8.0])
    >>> round(fit.alpha, 4), fit.xmin
    (1.9618, 1.0)
    """
    return fit_powerlaws([np.sort(np.asarray(evals, dtype=np.float64))])[0]


def fit_powerlaws(spectra: Sequence[Floats]) -> list[PowerLawFit | None]:
    """Fit many ascending spectra; those of equal length are fitted together."""
    fits: list[PowerLawFit | None] = [None] * len(spectra)
    by_length: dict[int, list[int]] = {}
    for index, evals in enumerate(spectra):
        if len(evals) > 1:
            by_length.setdefault(len(evals), []).append(index)
    for length, indices in by_length.items():
        for block in _blocks(indices, max(1, BLOCK // (length * PROBES))):
            for index, fit in zip(block, _fit_equal_lengths(np.stack([spectra[i] for i in block])), strict=True):
                fits[index] = fit
    return fits


def _fit_equal_lengths(evals: Floats) -> list[PowerLawFit | None]:
    """Fit each row of ``evals``, shape (rows, n), ascending."""
    rows, n = evals.shape
    x = np.log(evals / evals[:, -1:])
    tails = n - np.arange(n - 1)
    excess = np.cumsum(x[:, ::-1], axis=1)[:, :0:-1] - tails * x[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponents = tails / excess  # alpha - 1 of every candidate xmin, by suffix sums
    possible = np.isfinite(exponents) & (exponents > 0)
    distances = _exact_minima(x, np.where(possible, exponents, 0.0), possible)
    best = np.argmax(distances <= distances.min(axis=1, keepdims=True) + TIE, axis=1)
    return [
        PowerLawFit(
            alpha=float(1 + exponents[row, i]),
            xmin=float(evals[row, i]),
            xmax=float(evals[row, -1]),
            D=float(distances[row, i]),
            sigma=float(exponents[row, i] / np.sqrt(n - i)),
            num_pl_spikes=int(n - i),
        )
        if possible[row, i]
        else None
        for row, i in zip(range(rows), best, strict=True)
    ]


def _exact_minima(x: Floats, exponents: Floats, possible: NDArray[np.bool_]) -> Floats:
    """Distances of all candidates that can be the least one; infinity for the rest.

    The distance is a maximum over the tail, so its value on a few probes is a lower bound. The most
    promising candidate of each row is evaluated in full, then all whose bound does not exceed it.
    """
    bounds = np.where(possible, _lower_bounds(x, exponents), np.inf)
    distances = np.full(bounds.shape, np.inf)
    rows = np.arange(len(x))
    first = bounds.argmin(axis=1)
    distances[rows, first] = _distances(x, exponents, rows, first)
    remaining = np.nonzero((bounds <= distances[rows, first, None] + TIE) & np.isinf(distances) & possible)
    distances[remaining] = _distances(x, exponents, *remaining)
    return np.where(possible, distances, np.inf)


def _lower_bounds(x: Floats, exponents: Floats) -> Floats:
    """Bound each candidate's distance by the largest deviation over `PROBES` points of its tail."""
    n = x.shape[1]
    start = np.arange(n - 1)
    bounds = np.zeros(exponents.shape)
    for fraction in np.linspace(0, 1, PROBES):
        probe = start + np.round(fraction * (n - 1 - start)).astype(np.intp)
        np.maximum(bounds, _deviation(x[:, probe] - x[:, start], exponents, (probe - start) / (n - start)), out=bounds)
    return bounds


def _distances(x: Floats, exponents: Floats, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> Floats:
    """Kolmogorov-Smirnov distances of the candidates ``(row, start)``, over their whole tails."""
    n = x.shape[1]
    distances = np.empty(len(rows))
    position = np.arange(n)
    for block in _blocks(range(len(rows)), max(1, BLOCK // n)):
        row, start = rows[block], starts[block, None]
        steps = (position - start) / (n - start)
        above = np.maximum(x[row] - x[row, starts[block]][:, None], 0.0)
        deviation = _deviation(above, exponents[row, starts[block]][:, None], steps)
        distances[block] = np.where(position >= start, deviation, 0.0).max(axis=1)
    return distances


def _deviation(log_ratio: Floats, exponent: Floats, empirical: Floats) -> Floats:
    """Distance between the fitted and the empirical distribution function at ``x = xmin exp(log_ratio)``."""
    return np.abs(1 - np.exp(-exponent * log_ratio) - empirical)


def _blocks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))
