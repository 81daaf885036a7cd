"""Payload of a step: the scalars logged of an analysis, and the files with its table and spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.analysis import Analysis
    from wwopt.powerlaw import EstimatorName

__all__ = ["LAYER_ALPHA", "SPECTRA", "TABLE", "LayerChoice", "complete", "scalars", "worst_first", "write_spectra"]

LAYERS = 200  # layers with a curve of their own: a backend's pages suffer from thousands of keys
WORST = 20  # layers that a step of a larger network may add
SPREAD = ("alpha", "D", "stable_rank", "rand_distance", "num_spikes")  # columns whose extremes are logged too
LAYER_ALPHA = "ww/layer_alpha/"  # not below `ww/alpha`: a store in files has a file of that name
SPECTRA, TABLE = "analysis.npz", "layers.csv"


class LayerChoice:
    """The layers of a run that have a curve of their own: all, or those that were once among the worst."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def curves(self, alphas: Mapping[str, float], estimator: EstimatorName = "mle") -> dict[str, float]:
        """Alphas to log at this step; a layer once picked stays, so that its curve has no holes."""
        if alphas.keys() != self._keys.keys():
            self._pick(alphas, estimator)
        return {key: alphas[name] for name, key in self._keys.items() if name in alphas}

    def _pick(self, alphas: Mapping[str, float], estimator: EstimatorName) -> None:
        if len(self._keys.keys() | alphas.keys()) <= LAYERS:
            worst = list(alphas)
        else:
            worst = worst_first(alphas, estimator)[:WORST]
        fresh = [name for name in worst if name not in self._keys]
        self._keys |= {name: LAYER_ALPHA + name for name in fresh[: LAYERS - len(self._keys)]}


def scalars(analysis: Analysis, choice: LayerChoice) -> dict[str, float]:
    """Numbers of a step: the summary, the spread of some columns, and the alphas of the chosen layers."""
    values = {f"ww/{name}": value for name, value in analysis.summary.items()}
    for column in SPREAD:
        values |= _spread(column, analysis.numbers[column])
    alphas = dict(zip(analysis.spectra, analysis.numbers["alpha"].tolist(), strict=True))
    return values | choice.curves(alphas, analysis.estimator)


def write_spectra(analysis: Analysis, folder: Path) -> None:
    """Write the analysis, spectra and all, as `wwopt.Analysis.load` reads it."""
    analysis.save(folder / SPECTRA)


def complete(folder: Path) -> Path:
    """Add what follows from the spectra: the per-layer table as people and spreadsheets read it."""
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

    if not (folder / TABLE).exists():
        Analysis.load(folder / SPECTRA).details.to_csv(folder / TABLE, index=False)
    return folder


def worst_first(alphas: Mapping[str, float], estimator: EstimatorName) -> list[str]:
    """Sort layers by how far alpha lies from the estimator's range, the farthest first; those without one lead."""
    from wwopt.diagnosis import distance_from_range  # noqa: PLC0415  (loads SciPy, which the sender does without)

    return sorted(alphas, key=lambda name: -distance_from_range(alphas[name], estimator))


def _spread(column: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Least, median and largest of what is a number; the lower median of an even number."""
    ordered = np.sort(values[~np.isnan(values)]).tolist() or [math.nan]
    ends = {"min": ordered[0], "median": ordered[(len(ordered) - 1) // 2], "max": ordered[-1]}
    return {f"ww/{column}_{name}": end for name, end in ends.items()}
