"""`ESTIMATORS`: the estimators of alpha by name, each with its own range of a well-trained layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wwopt.powerlaw.hill import fit_upper_half
from wwopt.powerlaw.search import PROBES, blocks, fit_near_peak, search
from wwopt.powerlaw.truncated import fit_truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from wwopt.arrays import Floats
    from wwopt.powerlaw.fit import PowerLawFit

__all__ = ["ESTIMATORS", "Estimator", "EstimatorName", "fit_powerlaw", "fit_powerlaws"]

EstimatorName = Literal["mle", "hill", "peak", "tpl"]

BLOCK = 1 << 20  # numbers held at a time
OVER_TRAINED, UNDER_TRAINED = "over-trained", "under-trained"  # WeightWatcher's words


@dataclass(frozen=True)
class Estimator:
    """Estimator of alpha, with its own thresholds.

    Attributes
    ----------
    fit : callable
        Maps an array of shape (rows, n), each row positive and ascending, to a fit or None for each row.
    low, high : float
        Range of alpha of a well-trained layer.
    source : str
        Publication of the estimator and its thresholds.
    min_evals : int
        Fewest eigenvalues of a layer from which the numbers still say something; docs/metrics.md has the evidence.
    below : str
        Warning for an alpha below ``low``.
    """

    fit: Callable[[Floats], list[PowerLawFit | None]]
    low: float
    high: float
    source: str
    min_evals: int
    below: str = OVER_TRAINED

    def warning(self, alpha: float) -> str:
        """Return the warning for an alpha outside of the range; empty inside it, and for NaN."""
        if alpha < self.low:
            return self.below
        return UNDER_TRAINED if alpha > self.high else ""


# The thresholds of mle are the theory's. Those of hill and peak cut off as many of 928 layers of the networks that
# benchmarks/selection trains as mle's do. With a cut-off an exponent of 0 means that there is no power law at all. The
# smallest layers were chosen by benchmarks/engine/smallest_layers.py.
ESTIMATORS: dict[EstimatorName, Estimator] = {
    "mle": Estimator(search, 2.0, 6.0, "Clauset, Shalizi, Newman (2009), eq. 3.1 and 3.9", 16),
    "hill": Estimator(fit_upper_half, 1.8, 2.7, "Hill (1975) over the upper half: FARMS (2025), xmin_mid", 12),
    "peak": Estimator(fit_near_peak, 1.8, 3.6, "Zhou et al. (2023), xmin near the peak of the histogram of log x", 16),
    "tpl": Estimator(
        fit_truncated, 1e-9, 6.0, "Clauset et al. (2009), table 2.1, power law with cutoff", 16, UNDER_TRAINED
    ),
}


def fit_powerlaw(evals: ArrayLike, *, estimator: EstimatorName = "mle") -> PowerLawFit | None:
    """Fit a power law to a spectrum's tail.

    Parameters
    ----------
    evals : array_like, shape (n,)
        Positive values, in any order.
    estimator : {"mle", "hill", "peak", "tpl"}
        Maximum likelihood with the xmin of least Kolmogorov-Smirnov distance; Hill's over the upper half; as the first
        with xmin near the peak; a power law with an exponential cut-off above the first's xmin.

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
    return fit_powerlaws([np.sort(np.asarray(evals, dtype=np.float64))], estimator=estimator)[0]


def fit_powerlaws(spectra: Sequence[Floats], *, estimator: EstimatorName = "mle") -> list[PowerLawFit | None]:
    """Fit many spectra; those of equal length are fitted together.

    Parameters
    ----------
    spectra : sequence of array
        Positive values, ascending.
    estimator : {"mle", "hill", "peak", "tpl"}
        As in `fit_powerlaw`.

    Returns
    -------
    list of PowerLawFit or None
        A fit for each spectrum, None where there is none.
    """
    fits: list[PowerLawFit | None] = [None] * len(spectra)
    by_length: dict[int, list[int]] = {}
    for index, evals in enumerate(spectra):
        if len(evals) > 1:
            by_length.setdefault(len(evals), []).append(index)
    fit_rows = ESTIMATORS[estimator].fit
    for length, indices in by_length.items():
        for block in blocks(indices, max(1, BLOCK // (length * PROBES))):
            for index, fit in zip(block, fit_rows(np.stack([spectra[i] for i in block])), strict=True):
                fits[index] = fit
    return fits
