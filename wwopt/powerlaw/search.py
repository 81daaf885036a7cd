"""Maximum likelihood with the xmin of least Kolmogorov-Smirnov distance, among all eigenvalues or near the peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw.fit import PowerLawFit, deviation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["PROBES", "blocks", "fit_near_peak", "search"]

TIE = 1e-12  # distances closer than this are equal, and the smaller xmin is taken
PROBES = 16  # points of a tail at which its Kolmogorov-Smirnov distance is bounded from below
BLOCK = 1 << 20  # numbers held at a time
BINS = 100  # of the histogram whose peak bounds xmin
BELOW, ABOVE = np.log(0.95), np.log(1.5)  # range of log(xmin) around the peak


def fit_near_peak(evals: Floats) -> list[PowerLawFit | None]:
    """Fit each row with an xmin between 0.95 and 1.5 times the left edge of the fullest of 100 bins of log x."""
    return search(evals, near_peak=True)


def search(evals: Floats, *, near_peak: bool = False) -> list[PowerLawFit | None]:
    """Fit each row of ``evals``, shape (rows, n), ascending; None where a row has no power law.

    References
    ----------
    Clauset, Shalizi, Newman (2009), SIAM Review 51(4), equations 3.1, 3.2 and 3.9. With ``near_peak``: Zhou et al.
    (2023), Temperature balancing, NeurIPS.
    """
    rows, n = evals.shape
    x = np.log(evals / evals[:, -1:])
    tails = n - np.arange(n - 1)
    excess = np.cumsum(x[:, ::-1], axis=1)[:, :0:-1] - tails * x[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponents = tails / excess  # alpha - 1 of every candidate xmin, by suffix sums
    possible = np.isfinite(exponents) & (exponents > 0)
    if near_peak:
        possible &= _near_peak(x)
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


def _near_peak(x: Floats) -> Flags:
    """Mask of the candidates near the peak of their row's histogram."""
    low = x[:, :1]
    width = -low / BINS  # x ends at 0
    with np.errstate(divide="ignore", invalid="ignore"):
        bins = np.clip(np.nan_to_num((x - low) / width), 0, BINS - 1).astype(np.intp)
    counts = np.zeros((len(x), BINS), dtype=np.intp)
    np.add.at(counts, (np.arange(len(x))[:, None], bins), 1)
    above = x[:, :-1] - (low + counts.argmax(axis=1)[:, None] * width)
    near: Flags = (above >= BELOW) & (above <= ABOVE)
    return near


def _exact_minima(x: Floats, exponents: Floats, possible: Flags) -> Floats:
    """Distances of all candidates that can be the minimum of their row; infinity for the rest.

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
        np.maximum(bounds, deviation(x[:, probe] - x[:, start], exponents, (probe - start) / (n - start)), out=bounds)
    return bounds


def _distances(x: Floats, exponents: Floats, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> Floats:
    """Kolmogorov-Smirnov distances of the candidates ``(row, start)``, over their whole tails."""
    n = x.shape[1]
    distances = np.empty(len(rows))
    position = np.arange(n)
    for block in blocks(range(len(rows)), max(1, BLOCK // n)):
        row, start = rows[block], starts[block, None]
        steps = (position - start) / (n - start)
        above = np.maximum(x[row] - x[row, starts[block]][:, None], 0.0)
        off = deviation(above, exponents[row, starts[block]][:, None], steps)
        distances[block] = np.where(position >= start, off, 0.0).max(axis=1)
    return distances


def blocks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Cut a sequence into pieces of at most ``size``.

    Examples
    --------
    >>> list(blocks(range(5), 2))
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return (items[i : i + size] for i in range(0, len(items), size))
