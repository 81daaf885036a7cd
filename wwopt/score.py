"""`AlphaScore`: one number for a network, from its weights alone, that a broken network cannot win."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypedDict, runtime_checkable

import pandas as pd

if TYPE_CHECKING:
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

    - ``level``: ``|alpha - 2|``, at most 4. Theory puts the ideal at 2 (SETOL, arXiv 2507.17912).
    - ``undertrained``: one for alpha above 6, growing from 0 at 6 to 1 at 7.
    - ``rank``: ``20 / stable_rank``. Collapse shows in the rank before it shows in alpha; the stable rank
      counts the directions that carry the layer's energy, so it has an absolute scale.
    - ``noise``: ``5 max(0, 0.3 - rand_distance)``. A layer whose spectrum is that of a random matrix has
      learned nothing, whatever its alpha: small random matrices have alphas between 2 and 6.
    - ``traps``: ``5 trap_energy``, the share of the layer's energy in elements that stand out.

    A layer that is ``degenerate`` or ``failed`` gets the most a layer can get. So does every layer, and with
    them the network, once one holds values that are not finite.

    Parameters
    ----------
    level, undertrained, rank, noise, traps : float
        Weights of the terms, 0 or more.
    target : float
        The exponent that is ideal, greater than 1.
    noise_distance : float
        Distance from noise, in [0, 0.83], from which on a layer counts as trained.

    Notes
    -----
    Scale-invariant: multiplying a layer's weights changes nothing. A quantity that the analysis does not hold
    (``randomize=False``) adds nothing.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> score = AlphaScore()
    >>> collapsed = wwopt.analyze({"fc.weight": np.ones((60, 60))})
    >>> score(collapsed) == score.maximum
    True
    """

    level: float = 1.0
    undertrained: float = 1.0
    rank: float = 20.0
    noise: float = 5.0
    traps: float = 5.0
    target: float = 2.0
    noise_distance: float = 0.3

    version: ClassVar[int] = 1
    requires: ClassVar[Mapping[str, Any]] = {"randomize": True}
    TERMS: ClassVar[tuple[str, ...]] = ("level", "undertrained", "rank", "noise", "traps")
    WIDEST: ClassVar[float] = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                raise ValueError(f"`{field.name}` must be a finite number, 0 or more, got {value!r}.")
        if self.target <= 1:
            raise ValueError(f"`target` must be greater than 1, as every power-law exponent is, got {self.target}.")

    def explain(self, analysis: Analysis) -> Explanation:
        """Give the score, its terms, which add up to it, and the terms of each layer."""
        layers = self._layers(analysis.details)
        terms = {
            name: sum(layer[name] for layer in layers.values()) / len(layers) if layers else bound
            for name, bound in self._bounds().items()
        }
        return {"score": float(sum(terms.values())), "terms": terms, "layers": layers}

    def _bounds(self) -> dict[str, float]:
        """The most of each term."""
        return {
            "level": self.level * self.WIDEST,
            "undertrained": self.undertrained,
            "rank": self.rank,
            "noise": self.noise * self.noise_distance,
            "traps": self.traps,
        }

    def _layers(self, details: pd.DataFrame) -> dict[str, dict[str, float]]:
        healthy = details["status"] == "success"
        if (details["status"] == "non-finite").any():
            healthy &= False
        bounds = pd.DataFrame(self._bounds(), index=details.index)
        terms = self._terms(details).where(healthy, bounds, axis=0)
        rows = terms[list(self.TERMS)].to_numpy()
        return {
            str(name): dict(zip(self.TERMS, map(float, row), strict=True))
            for name, row in zip(details["name"], rows, strict=True)
        }

    def _terms(self, rows: pd.DataFrame) -> pd.DataFrame:
        alpha = rows["alpha"]
        terms = pd.DataFrame(
            {
                "level": self.level * (alpha - self.target).abs().clip(upper=self.WIDEST),
                "undertrained": self.undertrained * (alpha - 6).clip(0, 1),
                "rank": self.rank / rows["stable_rank"],
                "noise": self.noise * (self.noise_distance - rows["rand_distance"]).clip(lower=0),
                "traps": self.traps * rows["trap_energy"].clip(upper=1),
            }
        )
        return terms.fillna(0.0)


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
