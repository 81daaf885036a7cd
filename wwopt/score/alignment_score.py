"""`AlignmentScore`: the overlap between the directions that one layer writes and those that the next reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from wwopt.score.base import Explained, Explanation, check_measured, check_weights, explanation, is_sound
from wwopt.score.learned import invariant, learned_share

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["AlignmentScore"]


@dataclass(frozen=True, kw_only=True)
class AlignmentScore(Explained):
    """Misalignment of neighbouring layers; lower is better.

    - ``alignment``: one less the mean alignment of the hidden spaces, each the overlap of the directions in which a
      space is written with those in which it is read. It counts as far as it was learned: not where no layer fits its
      neighbours beyond chance, and not where even their weak directions fit, as only construction makes them.
    - ``rank``: half the mean of ``-log10(relative_rank)`` over the layers, at least 0: memorising and collapsing
      networks align as well, but on few directions.

    A network with a layer, a space or another tensor (`Analysis.faults`) that is broken, or without any space that can
    be matched, gets ``maximum``. A layer without a power law, as an identity matrix, is judged by its rank.

    Parameters
    ----------
    rank : float
        Weight of the rank term, 0 or more.

    Notes
    -----
    Invariant to the scales of layers and to rescaling hidden units, whose scales are fixed before layers are compared.
    Needs ``wwopt.analyze(..., alignment=True)``. Of an analysis without ``neighbour_correlation``, as by versions
    before 0.2, all alignment counts.

    Examples
    --------
    >>> import torch, wwopt
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
    >>> 0.9 < AlignmentScore()(wwopt.analyze(model, alignment=True)) < 1.1
    True
    """

    rank: float = 0.5

    version: ClassVar[int] = 4
    requires: ClassVar[Mapping[str, Any]] = {"alignment": True, "randomize": True, "invariant": True}
    WORST: ClassVar[tuple[float, float]] = (1.5, 3.0)

    def __post_init__(self) -> None:
        check_weights(self, ["rank"])

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each space and layer.

        Raises
        ------
        ValueError
            The analysis was made without ``alignment=True``, or no layer was measured.
        """
        if analysis.pairs is None:
            raise ValueError(
                "`AlignmentScore` needs an analysis with pairs of layers: call `wwopt.analyze(..., alignment=True)`."
            )
        check_measured(analysis)
        pairs = analysis.pairs
        aligned = {
            f"{writers} -> {readers}": {"alignment": 1 - float(value)}
            for writers, readers, value in zip(pairs["writers"], pairs["readers"], pairs["alignment"], strict=True)
        }
        ranks = {
            str(name): {"rank": self._rank(float(ratio))}
            for name, ratio in zip(analysis.words["name"], invariant(analysis.numbers, "relative_rank"), strict=True)
        }
        usable = len(pairs) and pairs["alignment"].notna().all() and not analysis.broken_tensors
        terms = self.bounds()
        if usable and is_sound(analysis):
            terms = {
                "alignment": 1 - learned_share(analysis) * float(pairs["alignment"].mean()),
                "rank": max(0.0, sum(layer["rank"] for layer in ranks.values()) / len(ranks)),
            }
        return explanation(analysis, terms, {**aligned, **ranks})

    def bounds(self) -> dict[str, float]:
        """Return the largest value of each term."""
        return {"alignment": self.WORST[0], "rank": self.rank * self.WORST[1]}

    def _rank(self, relative_rank: float) -> float:
        """Weighted decades by which a layer's effective rank is below that of noise, at most 3."""
        if not relative_rank > 0:
            return self.rank * self.WORST[1]
        return self.rank * min(-math.log10(relative_rank), self.WORST[1])
