"""`AlphaScore`: one number for a network, from its spectra alone, by which no broken network is best."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from wwopt.powerlaw import ESTIMATORS
from wwopt.score.base import Explained, Explanation, check_measured, check_weights, explanation
from wwopt.score.learned import invariant, learned_share

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats

__all__ = ["AlphaScore"]


@dataclass(frozen=True, kw_only=True)
class AlphaScore(Explained):
    """Distance of a network's layers from well-trained ones; lower is better.

    The mean over the layers of a sum of faults, each zero in a healthy layer and bounded, so that no
    fault hides another:

    - ``level``: ``0.2 |alpha - 2|``, at most 0.8. Theory puts the ideal at 2 (SETOL, arXiv 2507.17912).
    - ``undertrained``: a half for alpha above the estimator's range, which ends at 6 for "mle", growing from 0 there to
      its whole one further. Both are weighted by ``1 - 1/sqrt(n)``, n the eigenvalues in the tail: the less is fitted,
      the less alpha is trusted.
    - ``rank``: ``5 (1 - log10 stable_rank)``, 0 from a stable rank of 10 on. Collapse shows in the rank before it
      shows in alpha; the stable rank counts the directions that carry the layer's energy.
    - ``spread``: ``8 (-log10 relative_rank - 0.4)``, 0 where the effective rank is no more than 0.4 decades below
      that of noise, at most 8. A network that AdamW drove too fast keeps a good alpha and ten strong directions, and
      loses most of the others.
    - ``noise``: ``3 / (1 + evened_spikes)``. A layer without an eigenvalue above a random matrix's has learned
      nothing, whatever its alpha: small random matrices have alphas between 2 and 6.
    - ``unlearned``: 6 for every layer of a network in which no layer fits its neighbours beyond chance, or in which
      even the weak directions of neighbours fit, as only construction makes them. Training fits neighbours to each
      other; a spectrum can be drawn.
    - ``traps``: ``4 trap_energy``, the share of the layer's energy in outlying elements.

    A layer that is ``degenerate`` or ``failed`` gets the most a layer can get. So does every layer, and with
    them the network, once one holds values that are not finite, or another tensor is broken (`Analysis.faults`).

    Parameters
    ----------
    level, undertrained, rank, spread, noise, unlearned, traps : float
        Weights of the terms, 0 or more.
    target : float
        The exponent that is ideal, greater than 1.
    widest : float
        Distance from the target beyond which a layer is not worse.
    directions : float
        Stable rank, greater than 1, from which on a layer has not collapsed.
    narrowing : float
        Decades that a layer's effective rank may lie below that of noise, 0 or more.
    aggregate : "mean", "worst" or float
        Aggregation of the layers' faults: their mean, the worst layer's, or a quantile in (0, 1).

    Notes
    -----
    Invariant: neither multiplying a layer's weights nor rescaling hidden units, the one way for what writes a unit and
    the other for what reads it, changes the score. For that it reads the ``invariant_`` columns, where the scale of
    each unit is fixed and norms are folded in; of an analysis without them, as by versions before 0.2, the weights as
    they are. On how many sides the scales of a layer are fixed is in ``invariant_sides``. A quantity that the analysis
    does not hold (traps with ``randomize=False``) adds nothing. The terms were chosen and weighed on the tuning half of
    ``benchmarks/selection``; docs/evidence.md shows the value of each, and of the whole on the other half.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> score = AlphaScore()
    >>> collapsed = wwopt.analyze({"fc.weight": np.ones((60, 60))})
    >>> score(collapsed) == score.maximum
    True
    """

    level: float = 0.2
    undertrained: float = 0.5
    rank: float = 5.0
    spread: float = 8.0
    noise: float = 3.0
    unlearned: float = 6.0
    traps: float = 4.0
    target: float = 2.0
    widest: float = 4.0
    directions: float = 10.0
    narrowing: float = 0.4
    aggregate: float | Literal["mean", "worst"] = "mean"

    version: ClassVar[int] = 4
    requires: ClassVar[Mapping[str, Any]] = {"randomize": True, "invariant": True}
    TERMS: ClassVar[tuple[str, ...]] = ("level", "undertrained", "rank", "spread", "noise", "unlearned", "traps")

    @classmethod
    def vision(cls) -> AlphaScore:
        """Score with the ideal at 2, where the exponents of well-trained vision networks lie; the default."""
        return cls(target=2.0)

    @classmethod
    def language(cls) -> AlphaScore:
        """Score with the ideal at 3.5: the exponents of pretrained transformers lie between 3 and 4.

        That holds for large models. The small ones of the evidence are ordered as well by the default.
        """
        return cls(target=3.5)

    @classmethod
    def mean_alpha(cls) -> AlphaScore:
        """Score by the literal rule, "make the alphas small": the mean of ``alpha - 1``. Warns.

        Collapse makes alpha small too, so that a minimiser finds networks that diverged: a baseline for comparisons,
        not for use.
        """
        warnings.warn(
            "The smallest mean alpha is often that of a network that collapsed; use AlphaScore() to choose.",
            stacklevel=2,
        )
        return cls(
            level=1.0,
            undertrained=0.0,
            rank=0.0,
            spread=0.0,
            noise=0.0,
            unlearned=0.0,
            traps=0.0,
            target=1.0,
            widest=100.0,
        )

    def __post_init__(self) -> None:
        check_weights(self, (field.name for field in fields(self) if field.name != "aggregate"))
        if self.target < 1:
            raise ValueError(f"`target` must be at least 1, as every power-law exponent is, got {self.target}.")
        if self.directions <= 1:
            raise ValueError(f"`directions` must be greater than 1, got {self.directions}.")
        if self.aggregate not in ("mean", "worst") and not (
            isinstance(self.aggregate, (int, float)) and 0 < self.aggregate < 1
        ):
            raise ValueError(f'`aggregate` must be "mean", "worst" or between 0 and 1, got {self.aggregate!r}.')

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each layer.

        Raises
        ------
        ValueError
            No layer was measured.
        """
        check_measured(analysis)
        layers = self._layers(analysis)
        terms = {
            name: bound if _is_broken(analysis) else self._aggregated([layer[name] for layer in layers.values()])
            for name, bound in self.bounds().items()
        }
        return explanation(analysis, terms, layers)

    def _aggregated(self, values: list[float]) -> float:
        if self.aggregate == "mean":
            return sum(values) / len(values)
        return float(np.quantile(values, 1.0 if self.aggregate == "worst" else self.aggregate))

    def bounds(self) -> dict[str, float]:
        """Return the largest value of each term."""
        return {
            "level": self.level * self.widest,
            "undertrained": self.undertrained,
            "rank": self.rank,
            "spread": self.spread,
            "noise": self.noise,
            "unlearned": self.unlearned,
            "traps": self.traps,
        }

    def _layers(self, analysis: Analysis) -> dict[str, dict[str, float]]:
        sound, broken = analysis.words["status"] == "success", _is_broken(analysis)
        terms, bounds = self._terms(analysis), self.bounds()
        usable = sound & (not broken)
        rows = np.stack(
            [np.where(usable, np.nan_to_num(terms[name], nan=0.0), bounds[name]) for name in self.TERMS], axis=1
        )
        return {
            str(name): dict(zip(self.TERMS, row, strict=True))
            for name, row in zip(analysis.words["name"], rows.tolist(), strict=True)
        }

    def _terms(self, analysis: Analysis) -> dict[str, Floats]:
        numbers = analysis.numbers
        alpha, directions = invariant(numbers, "alpha"), invariant(numbers, "stable_rank")
        evened = numbers["evened_spikes"]
        spikes = np.where(np.isnan(evened), numbers["num_spikes"], evened)
        with np.errstate(divide="ignore", invalid="ignore"):
            trust = np.nan_to_num(1 - 1 / np.sqrt(invariant(numbers, "num_pl_spikes")), nan=1.0, neginf=0.0)
            decades = np.log10(np.maximum(directions, 1.0)) / math.log10(self.directions)
            lost = -np.log10(invariant(numbers, "relative_rank")) - self.narrowing
        return {
            "level": self.level * trust * np.minimum(np.abs(alpha - self.target), self.widest),
            "undertrained": self.undertrained * trust * np.clip(alpha - ESTIMATORS[analysis.estimator].high, 0, 1),
            "rank": self.rank * np.clip(1 - decades, 0, 1),
            "spread": self.spread * np.clip(lost, 0, 1),
            "noise": self.noise / (1 + spikes),
            "unlearned": np.full(len(alpha), self.unlearned * (1 - learned_share(analysis))),
            "traps": self.traps * np.minimum(invariant(numbers, "trap_energy"), 1),
        }


def _is_broken(analysis: Analysis) -> bool:
    """Whether something in the network makes all of it unusable."""
    return any(finding.key == "non-finite" or finding.row is None for finding in analysis.broken)
