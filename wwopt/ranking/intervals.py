"""Bootstrap over layers: how far a network's number, and its rank, would move with other layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats
    from wwopt.score import Score

__all__ = ["draws_of_mean", "draws_of_score", "rank_draws"]

DRAWS = 1000
FEW_DRAWS = 100  # where a score has to be computed again for each


def draws_of_mean(values: Floats, seed: int) -> Floats:
    """Means of resampled layers, shape (`DRAWS`,); the same seed and number of layers draw the same layers."""
    values = values[np.isfinite(values)]
    if not len(values):
        return np.full(DRAWS, np.nan)
    chosen = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    means: Floats = values[chosen].mean(axis=1)
    return means


def draws_of_score(score: Score, analysis: Analysis, seed: int) -> Floats:
    """Scores of resampled layers.

    A score whose terms are means over its layers is drawn from those; any other is computed again.
    """
    explanation = score.explain(analysis)
    if analysis.broken_tensors or not len(analysis.details):
        return np.full(DRAWS, explanation["score"])
    by_term: dict[str, list[float]] = {}
    for terms in explanation["layers"].values():
        for term, value in terms.items():
            by_term.setdefault(term, []).append(value)
    values = {term: np.array(layers) for term, layers in by_term.items()}
    rest = sum(value for term, value in explanation["terms"].items() if term not in values)
    if values and np.isclose(rest + sum(layers.mean() for layers in values.values()), explanation["score"]):
        total: Floats = np.sum([draws_of_mean(layers, seed) for layers in values.values()], axis=0) + rest
        return total
    few = np.random.default_rng(seed).integers(len(analysis.details), size=(FEW_DRAWS, len(analysis.details)))
    scores = [score(replace(analysis, details=analysis.details.iloc[chosen])) for chosen in few]
    return np.resize(np.array(scores), DRAWS)


def rank_draws(draws: Sequence[Floats]) -> NDArray[np.int64]:
    """Rank of each network in each draw, 1 for the smallest, shape (networks, draws); of equals the first is first."""
    from scipy.stats import rankdata  # noqa: PLC0415  (takes a second to load)

    ranks: NDArray[np.int64] = rankdata(np.stack(draws), method="ordinal", axis=0)
    return ranks
