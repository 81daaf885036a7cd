"""`default_score`: the score that the evidence recommends for a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wwopt.score.alignment_score import AlignmentScore
from wwopt.score.alpha_score import AlphaScore
from wwopt.text import split_names

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["common_score", "default_score"]


def default_score(analysis: Analysis) -> AlignmentScore | AlphaScore:
    """Choose the score that the evidence recommends for a network.

    `AlignmentScore` where at least half of the layers were matched, otherwise `AlphaScore`: a module and its state dict
    have the same. See docs/score.md for the evidence.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> analysis = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    >>> type(default_score(analysis)).__name__
    'AlphaScore'
    """
    if analysis.pairs is None or not len(analysis.pairs):
        return AlphaScore()
    cells = (*analysis.pairs["writers"], *analysis.pairs["readers"])
    matched = {name for cell in cells for name in split_names(cell)}
    layers = set(analysis.words["name"])
    return AlignmentScore() if 2 * len(layers & matched) >= len(layers) else AlphaScore()


def common_score(analyses: Iterable[Analysis]) -> AlignmentScore | AlphaScore:
    """Choose the most recommended score that can be computed for all of these networks."""
    found = [default_score(analysis) for analysis in analyses]
    return next((score for score in found if isinstance(score, AlphaScore)), found[0])
