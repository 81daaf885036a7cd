"""`AlphaScore`: one number for a network, from its weights alone, that a broken network cannot win."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypedDict, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from wwopt.analysis import Analysis

__all__ = ["AlignmentScore", "AlphaScore", "Explanation", "Score", "default_score"]


class Explanation(TypedDict):
    """What a score is made of; every number is a plain float, ready for JSON."""

    score: float
    terms: dict[str, float]
    layers: dict[str, dict[str, float]]


@runtime_checkable
class Score(Protocol):
    """A number of an `Analysis`, lower is better, finite for every network."""

    @property
    def direction(self) -> str:
        """Always ``"minimize"``."""
        ...

    @property
    def version(self) -> int:
        """Changes whenever the same network would get another number."""
        ...

    @property
    def maximum(self) -> float:
        """The number of an analysis that cannot be used; no network gets more."""
        ...

    @property
    def requires(self) -> Mapping[str, Any]:
        """Arguments that `wwopt.analyze` needs so that the score can be computed."""
        ...

    def __call__(self, analysis: Analysis) -> float:
        """Return the score."""
        ...

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each layer."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what defines the score, for the study's record: its name, version and parameters."""
        ...


class _Explained:
    """What every score does with its terms; each has `explain`, the bound of each term, and parameters."""

    direction: ClassVar[str] = "minimize"
    version: ClassVar[int]

    @property
    def maximum(self) -> float:
        """The most that a network can get: every term at its bound."""
        return float(sum(self._bounds().values()))

    def __call__(self, analysis: Analysis) -> float:
        """Score an analysis; ``maximum`` where it cannot be used."""
        return self.explain(analysis)["score"]

    def explain(self, analysis: Analysis) -> Explanation:
        raise NotImplementedError

    def rewards(self, analysis: Analysis) -> dict[str, float]:
        """Return for each layer (and hidden space) the negative sum of its faults: 0 for a healthy one.

        For loops that act on layers, as a reinforcement learner does: higher is better.
        """
        return {name: -sum(terms.values()) for name, terms in self.explain(analysis)["layers"].items()}

    def settings(self) -> dict[str, Any]:
        """Name, version and parameters, ready for JSON."""
        return {"name": type(self).__name__, "version": self.version, **asdict(self)}  # type: ignore[call-overload]

    def _bounds(self) -> dict[str, float]:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class AlphaScore(_Explained):
    """How far a network's layers are from well-trained ones; lower is better.

    The mean over the layers of a sum of faults, each zero in a healthy layer and bounded, so that no
    fault hides another:

    - ``level``: ``0.1 |alpha - 2|``, at most 0.4. Theory puts the ideal at 2 (SETOL, arXiv 2507.17912).
    - ``undertrained``: a half for alpha above 6, growing from 0 at 6 to its whole at 7. Both are weighted by
      ``1 - 1/sqrt(n)``, n the eigenvalues in the tail: the less is fitted, the less alpha is trusted.
    - ``rank``: ``6 (1 - log10 stable_rank)``, 0 from a stable rank of 10 on. Collapse shows in the rank before it
      shows in alpha; the stable rank counts the directions that carry the layer's energy.
    - ``noise``: ``3 / (1 + num_spikes)``. A layer none of whose eigenvalues stands out of a random matrix's has
      learned nothing, whatever its alpha: small random matrices have alphas between 2 and 6.
    - ``traps``: ``4 trap_energy``, the share of the layer's energy in elements that stand out.

    A layer that is ``degenerate`` or ``failed`` gets the most a layer can get. So does every layer, and with
    them the network, once one holds values that are not finite.

    Parameters
    ----------
    level, undertrained, rank, noise, traps : float
        Weights of the terms, 0 or more.
    target : float
        The exponent that is ideal, greater than 1.
    widest : float
        Distance from the target beyond which a layer is not worse.
    directions : float
        Stable rank, greater than 1, from which on a layer has not collapsed.
    aggregate : "mean", "worst" or float
        How each fault of the layers becomes the network's: their mean, the worst layer's, or a quantile in (0, 1).

    Notes
    -----
    Scale-invariant: multiplying a layer's weights changes nothing. A quantity that the analysis does not hold
    (traps with ``randomize=False``) adds nothing. The terms were chosen and weighed on the tuning half of
    ``benchmarks/selection``; docs/evidence.md shows what each is worth and how the whole does on the other half.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> score = AlphaScore()
    >>> collapsed = wwopt.analyze({"fc.weight": np.ones((60, 60))})
    >>> score(collapsed) == score.maximum
    True
    """

    level: float = 0.1
    undertrained: float = 0.5
    rank: float = 6.0
    noise: float = 3.0
    traps: float = 4.0
    target: float = 2.0
    widest: float = 4.0
    directions: float = 10.0
    aggregate: float | Literal["mean", "worst"] = "mean"

    version: ClassVar[int] = 2
    requires: ClassVar[Mapping[str, Any]] = {"randomize": True}
    TERMS: ClassVar[tuple[str, ...]] = ("level", "undertrained", "rank", "noise", "traps")

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

        Collapse makes alpha small too, so that a minimiser finds networks that diverged: it is here to be compared
        with, not to be used.
        """
        warnings.warn(
            "The smallest mean alpha is often that of a network that collapsed; use AlphaScore() to choose.",
            stacklevel=2,
        )
        return cls(level=1.0, undertrained=0.0, rank=0.0, noise=0.0, traps=0.0, target=1.0, widest=100.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "aggregate" and not (
                isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            ):
                raise ValueError(f"`{field.name}` must be a finite number, 0 or more, got {value!r}.")
        if self.target < 1:
            raise ValueError(f"`target` must be at least 1, as every power-law exponent is, got {self.target}.")
        if self.directions <= 1:
            raise ValueError(f"`directions` must be greater than 1, got {self.directions}.")
        if self.aggregate not in ("mean", "worst") and not (
            isinstance(self.aggregate, (int, float)) and 0 < self.aggregate < 1
        ):
            raise ValueError(f'`aggregate` must be "mean", "worst" or between 0 and 1, got {self.aggregate!r}.')

    def explain(self, analysis: Analysis) -> Explanation:
        """Give the score, its terms, which add up to it, and the terms of each layer."""
        layers = self._layers(analysis.details)
        terms = {
            name: self._aggregated([layer[name] for layer in layers.values()]) if layers else bound
            for name, bound in self._bounds().items()
        }
        return {"score": float(sum(terms.values())), "terms": terms, "layers": layers}

    def _aggregated(self, values: list[float]) -> float:
        if self.aggregate == "mean":
            return sum(values) / len(values)
        return float(np.quantile(values, 1.0 if self.aggregate == "worst" else self.aggregate))

    def _bounds(self) -> dict[str, float]:
        """The most of each term."""
        return {
            "level": self.level * self.widest,
            "undertrained": self.undertrained,
            "rank": self.rank,
            "noise": self.noise,
            "traps": self.traps,
        }

    def _layers(self, details: pd.DataFrame) -> dict[str, dict[str, float]]:
        healthy = details["status"].to_numpy() == "success"
        if (details["status"] == "non-finite").any():
            healthy &= False
        terms, bounds = self._terms(details), self._bounds()
        rows = np.stack(
            [np.where(healthy, np.nan_to_num(terms[name], nan=0.0), bounds[name]) for name in self.TERMS], axis=1
        )
        return {
            str(name): dict(zip(self.TERMS, map(float, row), strict=True))
            for name, row in zip(details["name"], rows, strict=True)
        }

    def _terms(self, details: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        def column(name: str) -> NDArray[np.float64]:
            return details[name].to_numpy(dtype=np.float64)

        alpha = column("alpha")
        with np.errstate(divide="ignore", invalid="ignore"):
            trust = np.nan_to_num(1 - 1 / np.sqrt(column("num_pl_spikes")), nan=1.0, neginf=0.0)
            directions = np.log10(np.maximum(column("stable_rank"), 1.0)) / math.log10(self.directions)
        return {
            "level": self.level * trust * np.minimum(np.abs(alpha - self.target), self.widest),
            "undertrained": self.undertrained * trust * np.clip(alpha - 6, 0, 1),
            "rank": self.rank * np.clip(1 - directions, 0, 1),
            "noise": self.noise / (1 + column("num_spikes")),
            "traps": self.traps * np.minimum(column("trap_energy"), 1),
        }


@dataclass(frozen=True, kw_only=True)
class AlignmentScore(_Explained):
    """How badly neighbouring layers fit each other; lower is better.

    - ``alignment``: one less the mean alignment of the hidden spaces, each the overlap of the directions in which a
      space is written with those in which it is read. What one layer writes, the next should read.
    - ``rank``: half the mean of ``-log10(relative_rank)`` over the layers, at least 0: memorising and collapsing
      networks align as well, but on few directions.

    A network with a layer or a space that is not finite, or without any space that can be matched, gets ``maximum``.

    Parameters
    ----------
    rank : float
        Weight of the rank term, 0 or more.

    Notes
    -----
    Scale-invariant, also to the rescaling of single units. Needs ``wwopt.analyze(..., alignment=True)``.

    Examples
    --------
    >>> import torch, wwopt
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
    >>> 0.9 < AlignmentScore()(wwopt.analyze(model, alignment=True)) < 1.1
    True
    """

    rank: float = 0.5

    version: ClassVar[int] = 1
    requires: ClassVar[Mapping[str, Any]] = {"alignment": True}
    WORST: ClassVar[tuple[float, float]] = (1.5, 3.0)

    def __post_init__(self) -> None:
        if not (isinstance(self.rank, (int, float)) and math.isfinite(self.rank) and self.rank >= 0):
            raise ValueError(f"`rank` must be a finite number, 0 or more, got {self.rank!r}.")

    def explain(self, analysis: Analysis) -> Explanation:
        """Give the score, its terms, which add up to it, and the terms of each space and layer.

        Raises
        ------
        ValueError
            The analysis was made without ``alignment=True``.
        """
        if analysis.pairs is None:
            raise ValueError("`AlignmentScore` needs the pairs of layers: call `wwopt.analyze(..., alignment=True)`.")
        pairs, details = analysis.pairs, analysis.details
        aligned = {
            f"{writers} -> {readers}": {"alignment": 1 - float(value)}
            for writers, readers, value in zip(pairs["writers"], pairs["readers"], pairs["alignment"], strict=True)
        }
        ranks = {
            str(name): {"rank": self._rank(float(ratio))}
            for name, ratio in zip(details["name"], details["relative_rank"], strict=True)
        }
        usable = len(pairs) and len(details) and pairs["alignment"].notna().all()
        terms = self._bounds()
        if usable and (details["status"] == "success").all():
            terms = {
                "alignment": 1 - float(pairs["alignment"].mean()),
                "rank": max(0.0, sum(layer["rank"] for layer in ranks.values()) / len(ranks)),
            }
        return {"score": float(sum(terms.values())), "terms": terms, "layers": {**aligned, **ranks}}

    def _bounds(self) -> dict[str, float]:
        return {"alignment": self.WORST[0], "rank": self.rank * self.WORST[1]}

    def _rank(self, relative_rank: float) -> float:
        """Weighted decades that a layer's effective rank lies below that of noise, 3 at most."""
        if not relative_rank > 0:
            return self.rank * self.WORST[1]
        return self.rank * min(-math.log10(relative_rank), self.WORST[1])


def default_score(analysis: Analysis) -> AlphaScore | AlignmentScore:
    """Choose the score that the evidence recommends for a network.

    `AlignmentScore` where the analysis has pairs of layers that match, else `AlphaScore`. On the tasks that were used
    for tuning the first orders networks better wherever labels are wrong; see docs/score.md.
    """
    matched = analysis.pairs is not None and len(analysis.pairs) > 0
    return AlignmentScore() if matched else AlphaScore()
