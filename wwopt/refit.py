"""Fit spectra again that were kept: the numbers of this version, without the weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.analysis import to_details
from wwopt.measure import COMPARED_WITH_NOISE, statuses, warning_of
from wwopt.metrics import METRICS, Layers
from wwopt.powerlaw import fit_powerlaws
from wwopt.spectra import zero_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wwopt.analysis import Analysis
    from wwopt.powerlaw import EstimatorName

__all__ = ["refit"]


def refit(analysis: Analysis) -> Analysis:
    """Compute everything again that follows from an analysis's spectra.

    Correlation traps and pairs of layers are kept, since they need the weights.

    Parameters
    ----------
    analysis : Analysis
        As it was saved, perhaps by an older version.

    Returns
    -------
    Analysis
        With the same layers and spectra.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> refit(analysis).details["alpha"].equals(analysis.details["alpha"])
    True
    """
    rows = [
        {**row, **_fitted(row, analysis.spectra[row["name"]], analysis.settings)}
        for row in analysis.details.to_dict(orient="records")
    ]
    return replace(analysis, details=to_details(rows))


def _fitted(row: Mapping[Any, Any], evals: NDArray[np.float64], settings: Mapping[str, Any]) -> dict[str, Any]:
    if not (np.isfinite(evals[-1]) and evals[-1] > 0):
        return {"warning": "", **dict.fromkeys(METRICS, math.nan)}
    tolerance = settings.get("zero_tol")
    if tolerance is None:
        tolerance = zero_limit(float(evals[-1]), row["N"], precision=settings.get("precision", "double"))
    estimator: EstimatorName = settings.get("estimator", "mle")
    fits = fit_powerlaws([evals[evals > tolerance]], estimator=estimator)
    layers = Layers(evals[None], row["rf"], row["N"], row["M"], np.array([tolerance]), fits, estimator)
    names = [name for name in METRICS if settings.get("randomize", True) or name not in COMPARED_WITH_NOISE]
    with np.errstate(all="ignore"):
        numbers = {name: float(METRICS[name].compute(layers)[0]) for name in names}
    return {"status": statuses(layers)[0], "warning": warning_of(numbers["alpha"], estimator), **numbers}
