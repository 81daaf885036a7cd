"""`ResponseScore`: the alignment of layers, and whether the network distinguishes inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from wwopt.score.alignment_score import AlignmentScore
from wwopt.score.base import Explained, Explanation, check_weights, explanation, is_sound
from wwopt.score.learned import learned_share

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["ResponseScore"]


@dataclass(frozen=True, kw_only=True)
class ResponseScore(Explained):
    """Misalignment of a network's layers, and lack of information in its outputs for noise; lower is better.

    - ``alignment`` and ``rank``: the terms of `AlignmentScore`.
    - ``response``: ``2 (1 - information)`` of its outputs for noise. A network that has learned features finds some of
      them in noise too, so that its outputs are clear and differ; one that has collapsed or diverged, or whose
      normalisation statistics are stale, gives nearly the same output for everything. An untrained network may just
      pass its inputs on: the information counts only as far as some space is aligned.
    - ``certainty``: of its outputs for noise, at their own scale; only with `wrong_labels`, since networks that
      memorised wrong labels are certain of everything. Good ones become certain too where labels are right, and a last
      layer that is scaled down makes every network less certain: by default it does not count.

    A network with a layer that is not ``success`` or another tensor that is broken (`Analysis.faults`), or whose
    outputs are not finite, gets ``maximum``. So does one that could not be run.

    Parameters
    ----------
    rank : float
        Weight of the rank term, 0 or more.
    response : float
        Weight of the response term, 0 or more.
    fitting : float
        Alignment of the best-fitting space from which on the information counts in full; in proportion below it.
    certainty : float
        Weight of the certainty term, 0 or more.

    Notes
    -----
    Needs ``wwopt.analyze(module, alignment=True)``, and a module: a state dict cannot be run. Only the
    certainty changes with the scale of the outputs; see `wwopt.response.information`.

    Examples
    --------
    >>> import torch, wwopt
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
    >>> score = ResponseScore()
    >>> score(wwopt.analyze(model, **score.requires)) < score.maximum
    True
    """

    rank: float = 0.5
    response: float = 2.0
    fitting: float = 0.1
    certainty: float = 0.0

    version: ClassVar[int] = 3
    requires: ClassVar[Mapping[str, Any]] = {"alignment": True, "randomize": True, "invariant": True, "response": True}

    @classmethod
    def wrong_labels(cls) -> ResponseScore:
        """Score for labels that are known to be partly wrong, where certainty is a sign of memorising.

        Where the labels are right it ranks worse; see docs/score.md.
        """
        return cls(certainty=1.0)

    def __post_init__(self) -> None:
        check_weights(self, ("rank", "response", "fitting", "certainty"))

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each space and layer.

        Raises
        ------
        ValueError
            The analysis was made without ``alignment`` or without ``response``, or no layer was measured.
        """
        if analysis.response is None:
            raise ValueError(
                "`ResponseScore` needs the response of the network: call `wwopt.analyze(module, alignment=True)`."
            )
        fit = self._fit.explain(analysis)
        information = analysis.response.information * self._trust(analysis)
        sound = not analysis.broken_tensors and is_sound(analysis)
        usable = not math.isnan(information) and sound
        terms = self.bounds()
        if usable:
            certainty = self.certainty * analysis.response.certainty
            faults = {**fit["terms"], "response": self.response * (1 - information), "certainty": certainty}
            terms = {name: faults[name] for name in terms}
        return explanation(analysis, terms, fit["layers"])

    def _trust(self, analysis: Analysis) -> float:
        """Share of the information that counts."""
        best = 0.0 if analysis.pairs is None else float(analysis.pairs["alignment"].max())
        return learned_share(analysis) * (1.0 if self.fitting == 0 else min(max(best / self.fitting, 0.0), 1.0))

    @property
    def _fit(self) -> AlignmentScore:
        return AlignmentScore(rank=self.rank)

    def bounds(self) -> dict[str, float]:
        """Return the largest value of each term."""
        certainty = {"certainty": self.certainty} if self.certainty else {}
        return {**self._fit.bounds(), "response": self.response, **certainty}
