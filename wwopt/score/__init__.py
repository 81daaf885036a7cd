"""Scores: one number for a network, from its analysis alone, by which no broken network is best."""

from wwopt.score.alignment_score import AlignmentScore
from wwopt.score.alpha_score import AlphaScore
from wwopt.score.base import Explanation, Score
from wwopt.score.default import common_score, default_score
from wwopt.score.response_score import ResponseScore

__all__ = [
    "AlignmentScore",
    "AlphaScore",
    "Explanation",
    "ResponseScore",
    "Score",
    "common_score",
    "default_score",
]
