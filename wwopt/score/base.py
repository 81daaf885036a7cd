"""`Score`, the protocol of all scores, and `Explained`, the base class of those here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["Explained", "Explanation", "Score", "check_measured", "check_weights", "explanation", "is_sound"]


class Explanation(TypedDict):
    """Value of a score with its terms, and the terms of each layer; plain floats, ready for JSON.

    Where tensors that are no layers are broken, ``faults`` names them, each with its kind; see `Analysis.faults`.
    """

    score: float
    terms: dict[str, float]
    layers: dict[str, dict[str, float]]
    faults: NotRequired[dict[str, str]]


@runtime_checkable
class Score(Protocol):
    """A number of an `Analysis`, lower is better, finite for every network."""

    @property
    def direction(self) -> str:
        """Always ``"minimize"``."""
        ...

    @property
    def version(self) -> int:
        """Version of the definition; changes whenever the same network would get another number."""
        ...

    @property
    def maximum(self) -> float:
        """Score of an analysis that cannot be used; no network gets more."""
        ...

    @property
    def requires(self) -> Mapping[str, Any]:
        """Arguments of `wwopt.analyze` that the score needs."""
        ...

    def __call__(self, analysis: Analysis) -> float:
        """Return the score."""
        ...

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each layer."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return the definition of the score, for the study's record: its name, version and parameters."""
        ...


class Explained:
    """Base class of scores: a subclass is a dataclass of parameters with `explain` and `bounds`."""

    direction: ClassVar[str] = "minimize"
    version: ClassVar[int]

    @property
    def maximum(self) -> float:
        """Largest score of any network: every term at its bound."""
        return float(sum(self.bounds().values()))

    def __call__(self, analysis: Analysis) -> float:
        """Score an analysis; ``maximum`` where the network is broken.

        Raises
        ------
        ValueError
            No layer was measured; the message says why, and the way out.
        """
        return self.explain(analysis)["score"]

    def explain(self, analysis: Analysis) -> Explanation:
        """Return the score, its terms, which add up to it, and the terms of each layer.

        Raises
        ------
        ValueError
            No layer was measured.
        """
        raise NotImplementedError

    def rewards(self, analysis: Analysis) -> dict[str, float]:
        """Return the negative sum of the faults of each layer and hidden space: 0 for a healthy one, higher is better.

        Meant for loops that act on layers, as in reinforcement learning.
        """
        return {name: -sum(terms.values()) for name, terms in self.explain(analysis)["layers"].items()}

    def settings(self) -> dict[str, Any]:
        """Return name, version and parameters, ready for JSON."""
        return {"name": type(self).__name__, "version": self.version, **asdict(self)}  # type: ignore[call-overload]

    def bounds(self) -> dict[str, float]:
        """Return the largest value of each term."""
        raise NotImplementedError


def explanation(
    analysis: Analysis, terms: Mapping[str, float], layers: Mapping[str, Mapping[str, float]]
) -> Explanation:
    """Put an explanation together; the faults of the network's tensors are part of it."""
    explained: Explanation = {
        "score": float(sum(terms.values())),
        "terms": dict(terms),
        "layers": {name: dict(faults) for name, faults in layers.items()},
    }
    return {**explained, "faults": analysis.broken_tensors} if analysis.broken_tensors else explained


def is_sound(analysis: Analysis) -> bool:
    """Whether every layer is finite and of more than one direction; it need not have a power law."""
    return bool(np.isin(analysis.words["status"], ("success", "failed")).all())


def check_measured(analysis: Analysis) -> None:
    """Check that there is a layer to be scored.

    Raises
    ------
    ValueError
        No layer was measured, and nothing else is known to be broken.
    """
    if analysis.unmeasured:
        raise ValueError(f"No layer was measured: {analysis.unmeasured}")


def check_weights(score: object, names: Iterable[str]) -> None:
    """Check that parameters of a score are finite numbers, 0 or more.

    Raises
    ------
    ValueError
        One of them is not; the message names it.
    """
    for name in names:
        value = getattr(score, name)
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
            raise ValueError(f"`{name}` must be a finite number, 0 or more, got {value!r}.")
