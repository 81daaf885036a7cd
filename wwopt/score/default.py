"""Which score the evidence recommends."""

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

    Where layers match, `ResponseScore` if the network's answers to noise are known and `AlignmentScore` if not, unless
    it tells of fewer than half of the layers; else `AlphaScore`. In this order they do better on the evidence's tasks;
    see docs/score.md.
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
    """Choose the best of the default scores that tells of all of these networks."""
    order = (ResponseScore, AlignmentScore, AlphaScore)
    return max(map(default_score, analyses), key=lambda score: order.index(type(score)))
