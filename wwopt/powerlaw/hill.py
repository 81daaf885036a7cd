"""Hill's estimator over the upper half of the spectrum, without a search for xmin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw.fit import PowerLawFit, deviation

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = ["fit_upper_half"]


def fit_upper_half(evals: Floats) -> list[PowerLawFit | None]:
    """Fit each row of ``evals``, shape (rows, n), ascending; xmin is the value at ``n // 2``.

    References
    ----------
    Hill (1975), Annals of Statistics 3(5). Zhou et al. (2023), Temperature balancing, NeurIPS; Hu et al. (2025), FARMS,
    ICML (their "xmin_mid").
    """
    n = evals.shape[1]
    start = n // 2
    size = n - start
    x = np.log(evals[:, start:] / evals[:, -1:])
    x -= x[:, :1]
    with np.errstate(divide="ignore"):
        exponents = size / x.sum(axis=1)
    possible = np.isfinite(exponents)
    steps = np.arange(size) / size
    distances = deviation(x, np.where(possible, exponents, 0.0)[:, None], steps).max(axis=1)
    return [
        PowerLawFit(
            alpha=float(1 + exponent),
            xmin=float(row[start]),
            xmax=float(row[-1]),
            D=float(distance),
            sigma=float(exponent / np.sqrt(size)),
            num_pl_spikes=size,
        )
        if ok
        else None
        for ok, exponent, distance, row in zip(possible, exponents, distances, evals, strict=True)
    ]
