"""Evaluation of a model in training: its analysis and its score after a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.score import Explanation
    from wwopt_objectives.study.kept_answers import KeptAnswers

__all__ = ["Evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """What was found in a model after a step of its training.

    Attributes
    ----------
    step : int
        The step, counted from 0.
    loss : float or None
        Training loss at this step, where it is known.
    analysis : wwopt.Analysis
        All the numbers.
    explanation : dict
        The score and its terms.
    answers : KeptAnswers, str or None
        What it answered to the inputs of its study, or why it did not; None where it was not asked.
    """

    step: int
    loss: float | None
    analysis: Analysis
    explanation: Explanation
    answers: KeptAnswers | str | None = None

    @property
    def score(self) -> float:
        """The score, finite."""
        return self.explanation["score"]
