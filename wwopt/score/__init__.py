"""Scores: one number for a network, without data, that a broken network cannot win."""

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
