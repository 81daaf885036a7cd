"""Alpha of noise by each estimator: the null value that a layer's alpha is compared with."""

from __future__ import annotations

import json
import math
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from wwopt.null.laws import marchenko_pastur_spectrum
from wwopt.powerlaw import fit_powerlaw

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.powerlaw import EstimatorName

__all__ = ["alpha_of_noise"]

TABLE = "noise_alpha.json"


@lru_cache(maxsize=1024)
def alpha_of_noise(estimator: EstimatorName, N: int, M: int, k: int = 1) -> float:
    """Median alpha of k pooled Gaussian matrices of shape (N, M).

    Hill's estimator is applied to the Marchenko-Pastur law. For the others, which search for xmin, the median is
    interpolated linearly in a table of simulations, over the logarithms of M, N/M and k, and extrapolated beyond it.

    Parameters
    ----------
    estimator : {"mle", "hill", "peak", "tpl"}
        As in `wwopt.powerlaw.fit_powerlaw`.
    N, M, k : int
        Shape, ``N >= M``, and number of matrices.

    Returns
    -------
    float
        NaN where the spectrum of noise has no power law.

    Notes
    -----
    ``python -m benchmarks.engine.noise_alphas`` makes the table. The simulated medians scatter by 5% of alpha, with
    "peak" 20%.

    Examples
    --------
    >>> round(alpha_of_noise("hill", 10_000, 10_000), 2)
    2.12
    """
    if estimator == "hill":
        fit = fit_powerlaw(marchenko_pastur_spectrum(N, M), estimator="hill")
        return fit.alpha if fit else math.nan
    axes, values = _table(estimator)
    for axis, x in zip(axes, np.log([M, N / M, k]), strict=True):
        i = int(np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2))
        share = (x - axis[i]) / (axis[i + 1] - axis[i])
        values = (1 - share) * values[i] + share * values[i + 1]
    return max(0.0, math.expm1(float(values)))


@cache
def _table(estimator: EstimatorName) -> tuple[list[Floats], Floats]:
    """Logarithms of the sizes along each axis, and of one plus the medians."""
    content = json.loads(files("wwopt.null").joinpath(TABLE).read_text(encoding="utf-8"))
    return [np.log(content[axis]) for axis in ("M", "Q", "k")], np.log1p(content[estimator])
