"""What is logged of an analysis: some scalars a step, and files with the table and the spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["LAYER_ALPHA", "SPECTRA", "TABLE", "LayerChoice", "complete", "distance", "scalars", "write_spectra"]

LAYERS = 200  # layers with a curve of their own: a backend's pages suffer from thousands of keys
WORST = 20  # layers that a step of a larger network may add
SPREAD = ("alpha", "D", "stable_rank", "rand_distance", "num_spikes")  # columns whose extremes are logged too
LAYER_ALPHA = "ww/layer_alpha/"  # not below `ww/alpha`: a store in files has a file of that name
SPECTRA, TABLE = "analysis.npz", "layers.csv"


class LayerChoice:
    """The layers of a run that have a curve of their own: all, or those that were once among the worst."""

    def __init__(self) -> None:
        self._chosen: set[str] = set()

    def pick(self, alphas: Mapping[str, float]) -> list[str]:
        """Names to log at this step; a layer once picked stays, so that its curve has no holes."""
        if len(alphas) <= LAYERS and len(self._chosen | alphas.keys()) <= LAYERS:
            worst = list(alphas)
        else:
            worst = sorted(alphas, key=lambda name: -distance(alphas[name]))[:WORST]
        fresh = [name for name in worst if name not in self._chosen]
        self._chosen.update(fresh[: LAYERS - len(self._chosen)])
        return [name for name in alphas if name in self._chosen]


def scalars(analysis: Analysis, choice: LayerChoice) -> dict[str, float]:
    """Numbers of a step: the summary, the spread of some columns, and the alphas of the chosen layers."""
    details = analysis.details
    columns = np.array([details[column].to_numpy() for column in SPREAD])
    alphas = dict(zip(analysis.spectra, columns[SPREAD.index("alpha")].tolist(), strict=True))
    values = {f"ww/{name}": value for name, value in analysis.summary.items()}
    for column, ordered in zip(SPREAD, np.sort(columns), strict=True):  # NaN comes last
        values |= _spread(column, ordered[: np.count_nonzero(~np.isnan(ordered))])
    return values | {LAYER_ALPHA + name: alphas[name] for name in choice.pick(alphas)}


def write_spectra(analysis: Analysis, folder: Path) -> None:
    """Write the analysis, spectra and all, as `wwopt.Analysis.load` reads it."""
    analysis.save(folder / SPECTRA)


def complete(folder: Path) -> Path:
    """Add what follows from the spectra: the per-layer table as people and spreadsheets read it."""
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

    if not (folder / TABLE).exists():
        Analysis.load(folder / SPECTRA).details.to_csv(folder / TABLE, index=False)
    return folder


def distance(alpha: float) -> float:
    """How far an alpha is from the range of 2 to 6; a layer without one is the worst."""
    return math.inf if math.isnan(alpha) else max(2 - alpha, alpha - 6, 0.0)


def _spread(column: str, known: np.ndarray) -> dict[str, float]:
    """Least, median and largest of ascending values; the lower median of an even number."""
    ends = (known[0], known[(len(known) - 1) // 2], known[-1]) if len(known) else (math.nan,) * 3
    return {f"ww/{column}_{name}": float(end) for name, end in zip(("min", "median", "max"), ends, strict=True)}
