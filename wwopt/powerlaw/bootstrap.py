"""Bootstrap intervals for alpha: spectra are resampled and fitted again, xmin included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from wwopt.powerlaw.estimators import fit_powerlaws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wwopt.arrays import Floats
    from wwopt.powerlaw.estimators import EstimatorName
    from wwopt.powerlaw.fit import PowerLawFit

__all__ = ["bootstrap_intervals"]

FEWEST_REPEATS = 200
REPEATS_OUTSIDE = 10  # of the interval, so that its ends do not depend on a single one


def bootstrap_intervals(
    spectra: Sequence[Floats],
    fits: Sequence[PowerLawFit | None],
    *,
    estimator: EstimatorName = "mle",
    confidence: float = 0.95,
    seed: int = 0,
) -> Floats:
    """Interval for each alpha, by Efron's bias-corrected bootstrap.

    Parameters
    ----------
    spectra : sequence of array
        Positive values, ascending.
    fits : sequence of PowerLawFit or None
        Fits of the spectra by the same estimator.
    estimator : {"mle", "hill", "peak", "tpl"}
        As in `fit_powerlaw`.
    confidence : float
        Confidence level, in (0, 1).
    seed : int
        With a spectrum's length it determines the resampling, so that neither scale nor the other spectra matter.

    Returns
    -------
    array, shape (spectra, 2)
        Lower and upper ends, with alpha between them; NaN where there is no fit.

    Notes
    -----
    Eigenvalues are resampled as if they were independent. They repel each other, so that the interval is rather wide.

    References
    ----------
    Efron (1987), Better bootstrap confidence intervals, J. American Statistical Association 82(397).

    Examples
    --------
    >>> evals = np.sort((1 - np.random.default_rng(0).uniform(size=500)) ** -0.5)
    >>> low, high = bootstrap_intervals([evals], fit_powerlaws([evals]))[0]
    >>> bool(low < 3 < high)
    True
    """
    repeats = max(FEWEST_REPEATS, math.ceil(REPEATS_OUTSIDE / (1 - confidence)))
    intervals = np.full((len(spectra), 2), np.nan)
    for index, (evals, fit) in enumerate(zip(spectra, fits, strict=True)):
        if fit is not None:
            drawn = np.random.default_rng([seed, len(evals)]).integers(len(evals), size=(repeats, len(evals)))
            refits = fit_powerlaws(list(evals[np.sort(drawn, axis=1)]), estimator=estimator)
            alphas = np.array([again.alpha for again in refits if again])
            intervals[index] = _bias_corrected(alphas, fit.alpha, confidence)
    return intervals


def _bias_corrected(alphas: Floats, alpha: float, confidence: float) -> tuple[float, float]:
    """Quantiles of the repeats, shifted by the distance of their median from alpha."""
    below = (np.sum(alphas < alpha) + np.sum(alphas == alpha) / 2 + 0.5) / (len(alphas) + 1)
    shift, half = special.ndtri(below), special.ndtri((1 + confidence) / 2)
    low, high = np.quantile(alphas, special.ndtr([2 * shift - half, 2 * shift + half]))
    return min(float(low), alpha), max(float(high), alpha)
