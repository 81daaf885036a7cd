"""Spectrum, power law and metrics of layers; this runs on every worker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.engine.measured import Measured
from wwopt.metrics import METRICS, ElementStatistics, Layers
from wwopt.null import correlation_traps, is_flat, looks_like_noise
from wwopt.powerlaw import ESTIMATORS, bootstrap_intervals, fit_powerlaws
from wwopt.spectra import eigenvalues, moments_of, pool, zero_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wwopt.arrays import Floats
    from wwopt.engine.cache import Cache
    from wwopt.engine.settings import Settings
    from wwopt.powerlaw import EstimatorName, PowerLawFit
    from wwopt.weights import WeightMatrix

__all__ = ["fits_of", "intervals_of", "measure", "statuses", "warning_of"]

SINGLE = 1e-5  # share of the largest eigenvalue below which single precision keeps less than two digits
MOST_BELOW = 0.05  # share of eigenvalues that may lie there; a spectrum that is wider is computed in double
NOISE = "noise"  # the warning of a layer that cannot be told from noise


def measure(
    batch: Sequence[WeightMatrix], settings: Settings, *, device: str = "cpu", cache: Cache | None = None
) -> list[Measured]:
    """Measure layers of equal shape; those that a cache knows are only read.

    Parameters
    ----------
    batch : sequence of WeightMatrix
        Of the same k, N, M and rank.
    settings : Settings
        What to compute.
    device : str
        Where eigenvalues are computed.
    cache : Cache, optional
        Where results are looked up by the content of the weights, and kept.
    """
    if cache is None:
        return _measure(batch, [_decompose(matrix, matrix.read(), settings, device) for matrix in batch], settings)
    known: dict[str, Measured] = {}
    missing: dict[str, tuple[WeightMatrix, _Decomposed]] = {}
    keys = []
    for matrix in batch:
        stack = matrix.read()
        key = cache.key(matrix, stack, settings)
        keys.append(key)
        if key in known or key in missing:  # a copy
            continue
        found = cache.get(key)
        if found is None:
            missing[key] = (matrix, _decompose(matrix, stack, settings, device))
        else:
            known[key] = found
    fresh = _measure([matrix for matrix, _ in missing.values()], [raw for _, raw in missing.values()], settings)
    for key, measured in zip(missing, fresh, strict=True):
        cache.put(key, measured)
        known[key] = measured
    return [known[key] for key in keys]


@dataclass(frozen=True)
class _Decomposed:
    """What is kept of a layer when its weights are freed."""

    evals: Floats
    zero_tol: float
    elements: ElementStatistics | None


def _decompose(matrix: WeightMatrix, stack: NDArray[Any], settings: Settings, device: str) -> _Decomposed:
    precision = settings.precision
    evals = eigenvalues(stack, precision=precision, device=device)
    if precision == "single" and np.mean(evals < SINGLE * evals.max()) > MOST_BELOW:
        precision = "double"
        evals = eigenvalues(stack, precision=precision, device=device)
    with np.errstate(over="ignore"):
        pooled = np.sort(evals * matrix.scale**2, axis=None)
    finite = bool(np.isfinite(pooled[-1]))
    elements = _element_statistics(stack) if settings.randomize and finite and matrix.rank is None else None
    relative = zero_limit(float(pooled[-1]), matrix.N, precision=precision)
    return _Decomposed(pooled, relative if settings.zero_tol is None else float(settings.zero_tol), elements)


def _element_statistics(stack: NDArray[Any]) -> ElementStatistics:
    moments = moments_of(stack)
    return ElementStatistics(pool(moments), correlation_traps(stack, moments))


def _measure(batch: Sequence[WeightMatrix], decomposed: Sequence[_Decomposed], settings: Settings) -> list[Measured]:
    if not batch:
        return []
    k, N, M = batch[0].k, batch[0].N, batch[0].M
    evals = np.stack([layer.evals for layer in decomposed])
    tolerances = np.array([layer.zero_tol for layer in decomposed])
    tails = [row[row > tol] for row, tol in zip(evals, tolerances, strict=True)]
    fits = fits_of(tails, N, M, settings.estimator)
    intervals = intervals_of(tails, fits, settings.estimator, settings.confidence, settings.seed)
    elements = [layer.elements for layer in decomposed]
    layers = Layers(evals, k, N, M, tolerances, fits, settings.estimator, intervals, elements)
    columns = _metrics(layers, settings)
    return [
        Measured(_row(index, status, layers, columns), row)
        for index, (status, row) in enumerate(zip(statuses(layers), evals, strict=True))
    ]


def _metrics(layers: Layers, settings: Settings) -> dict[str, list[float]]:
    """Compute every metric; layers that are unusable come out as infinities and NaN, which nobody sees."""
    with np.errstate(all="ignore"):
        return {
            name: metric.compute(layers).tolist()
            for name, metric in METRICS.items()
            if settings.randomize or not metric.randomized
        }


def _row(index: int, status: str, layers: Layers, columns: dict[str, list[float]]) -> dict[str, Any]:
    usable = status != "non-finite" and layers.evals[index, -1] > 0
    numbers = {name: column[index] for name, column in columns.items()} if usable else {}
    return {"status": status, "warning": warning_of(status, numbers, layers.estimator), **numbers}


def fits_of(tails: Sequence[Floats], N: int, M: int, estimator: EstimatorName) -> list[PowerLawFit | None]:
    """Fit the power laws of layers of equal shape; None also where all eigenvalues are the same but for rounding."""
    fits = fit_powerlaws(tails, estimator=estimator)
    return [None if is_flat(tail, N, M) else fit for tail, fit in zip(tails, fits, strict=True)]


def intervals_of(
    tails: Sequence[Floats],
    fits: Sequence[PowerLawFit | None],
    estimator: EstimatorName,
    confidence: float | None,
    seed: int,
) -> Floats | None:
    """Intervals of the alphas, where they were asked for."""
    if confidence is None:
        return None
    return bootstrap_intervals(tails, fits, estimator=estimator, confidence=confidence, seed=seed)


def statuses(layers: Layers) -> list[str]:
    """Say of each layer whether its numbers can be used, and why not."""
    finite = np.isfinite(layers.evals[:, -1])
    ranks = np.count_nonzero(layers.above_zero, axis=1).tolist()
    return [
        "non-finite" if not ok else "degenerate" if rank < 2 else "success" if fit else "failed"
        for ok, rank, fit in zip(finite, ranks, layers.fits, strict=True)
    ]


def warning_of(status: str, numbers: Mapping[str, Any], estimator: EstimatorName) -> str:
    """Call a layer noise that cannot be told from it; else WeightWatcher's words for an alpha out of its range."""
    p_values = (float(numbers.get(name, math.nan)) for name in ("p_noise", "p_spike"))
    if status == "success" and looks_like_noise(*p_values):
        return NOISE
    return ESTIMATORS[estimator].warning(float(numbers.get("alpha", math.nan)))
