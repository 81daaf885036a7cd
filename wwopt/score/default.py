"""`default_score`: the score that the evidence recommends for a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wwopt.score.alignment_score import AlignmentScore
from wwopt.score.alpha_score import AlphaScore
from wwopt.score.response_score import ResponseScore
from wwopt.text import split_names

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["common_score", "default_score"]


def default_score(analysis: Analysis) -> ResponseScore | AlignmentScore | AlphaScore:
    """Choose the score that the evidence recommends for a network.

    Where layers were matched: `ResponseScore` if the response to noise was measured, else `AlignmentScore` if it covers
    at least half of the layers. Otherwise `AlphaScore`. See docs/score.md for the evidence.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> type(default_score(analysis)).__name__
    'AlphaScore'
    """
    if analysis.pairs is None or not len(analysis.pairs):
        return AlphaScore()
    if analysis.response is not None and analysis.response.available:
        return ResponseScore()
    cells = (*analysis.pairs["writers"], *analysis.pairs["readers"])
    matched = {name for cell in cells for name in split_names(cell)}
    layers = set(analysis.words["name"])
    return AlignmentScore() if 2 * len(layers & matched) >= len(layers) else AlphaScore()


def common_score(analyses: Iterable[Analysis]) -> ResponseScore | AlignmentScore | AlphaScore:
    """Choose the most recommended score that can be computed for all of these networks."""
    order = (ResponseScore, AlignmentScore, AlphaScore)
    return max(map(default_score, analyses), key=lambda score: order.index(type(score)))
