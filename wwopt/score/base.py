"""What every score is: a number with its terms, and the settings that define it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypedDict, runtime_checkable

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["Explained", "Explanation", "Score", "check_weights"]


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


class Explained:
    """What every score does with its terms; each has `explain`, the bound of each term, and parameters."""

    direction: ClassVar[str] = "minimize"
    version: ClassVar[int]

    @property
    def maximum(self) -> float:
        """The most that a network can get: every term at its bound."""
        return float(sum(self.bounds().values()))

    def __call__(self, analysis: Analysis) -> float:
        """Score an analysis; ``maximum`` where it cannot be used."""
        return self.explain(analysis)["score"]

    def explain(self, analysis: Analysis) -> Explanation:
        """Give the score, its terms, which add up to it, and the terms of each layer."""
        raise NotImplementedError

    def rewards(self, analysis: Analysis) -> dict[str, float]:
        """Return for each layer (and hidden space) the negative sum of its faults: 0 for a healthy one.

        For loops that act on layers, as a reinforcement learner does: higher is better.
        """
        return {name: -sum(terms.values()) for name, terms in self.explain(analysis)["layers"].items()}

    def settings(self) -> dict[str, Any]:
        """Name, version and parameters, ready for JSON."""
        return {"name": type(self).__name__, "version": self.version, **asdict(self)}  # type: ignore[call-overload]

    def bounds(self) -> dict[str, float]:
        """Give the most of each term."""
        raise NotImplementedError


def check_weights(score: object, names: Iterable[str]) -> None:
    """Refuse parameters that are no finite number of 0 or more.

    Raises
    ------
    ValueError
        One of them is not; the error names it.
    """
    for name in names:
        value = getattr(score, name)
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
            raise ValueError(f"`{name}` must be a finite number, 0 or more, got {value!r}.")
