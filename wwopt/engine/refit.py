"""`refit`: the numbers of an analysis, computed again from its spectra, without the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.analysis import Analysis
from wwopt.engine.measure import fits_of, intervals_of, statuses, warning_of
from wwopt.metrics import METRICS, Layers
from wwopt.powerlaw import ESTIMATORS
from wwopt.spectra import zero_limit
from wwopt.weights import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wwopt.powerlaw import EstimatorName

__all__ = ["refit"]

OF_ESTIMATOR = ("invariant_alpha", "invariant_num_pl_spikes")  # of spectra that an analysis does not keep


def refit(analysis: Analysis, *, estimator: EstimatorName | None = None) -> Analysis:
    """Compute everything again that follows from an analysis's spectra.

    What needs the weights is kept: correlation traps, p-values and pairs of layers. With another estimator
    ``invariant_alpha`` and ``invariant_num_pl_spikes`` are NaN, and scores read those of the weights as they are.

    Parameters
    ----------
    analysis : Analysis
        As it was saved, perhaps by an older version.
    estimator : {"mle", "hill", "peak", "tpl"}, optional
        Of alpha. None: the one that the analysis was made with.

    Returns
    -------
    Analysis
        With the same layers and spectra.

    Raises
    ------
    ValueError
        There is no such estimator.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> refit(analysis).details["alpha"].equals(analysis.details["alpha"])
    True
    """
    if estimator not in (None, *ESTIMATORS):
        raise ValueError(f"`estimator` must be among {', '.join(ESTIMATORS)}, got {estimator!r}.")
    settings = {**analysis.settings, "estimator": estimator or analysis.settings.get("estimator", "mle")}
    of_other = dict.fromkeys(OF_ESTIMATOR, math.nan) if settings["estimator"] != analysis.estimator else {}
    rows = [
        {**row, **_fitted(row, analysis.spectra[row["name"]], settings), **of_other}
        for row in analysis.details.to_dict(orient="records")
    ]
    skipped = list(analysis.skipped[["name", "reason"]].itertuples(index=False, name=None))
    return Analysis.from_rows(
        rows,
        analysis.spectra,
        skipped,
        settings,
        pairs=analysis.pairs,
        response=analysis.response,
        faults=[Fault(*row) for row in analysis.faults.itertuples(index=False, name=None)],
    )


def _fitted(row: Mapping[Any, Any], evals: NDArray[np.float64], settings: Mapping[str, Any]) -> dict[str, Any]:
    if not (np.isfinite(evals[-1]) and evals[-1] > 0):
        return {"warning": "", **{name: math.nan for name, metric in METRICS.items() if not metric.needs_weights}}
    kept = {name: row.get(name, math.nan) for name, metric in METRICS.items() if metric.needs_weights}
    tolerance = settings.get("zero_tol")
    if tolerance is None:
        tolerance = zero_limit(float(evals[-1]), row["N"], precision=settings.get("precision", "double"))
    estimator: EstimatorName = settings["estimator"]
    tails = [evals[evals > tolerance]]
    fits = fits_of(tails, row["N"], row["M"], estimator)
    intervals = intervals_of(tails, fits, estimator, settings.get("confidence"), settings.get("seed", 0))
    layers = Layers(evals[None], row["rf"], row["N"], row["M"], np.array([tolerance]), fits, estimator, intervals)
    randomized = settings.get("randomize", True)
    names = [name for name, metric in METRICS.items() if name not in kept and (randomized or not metric.randomized)]
    with np.errstate(all="ignore"):
        numbers = {name: float(METRICS[name].compute(layers)[0]) for name in names}
    status = statuses(layers)[0]
    return {"status": status, "warning": warning_of(status, numbers | kept, estimator), **numbers, **kept}
