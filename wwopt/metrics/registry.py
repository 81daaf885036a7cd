"""`METRICS`: each number of a layer, declared once with its unit, direction and source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wwopt.arrays import Floats
from wwopt.metrics.layers import Layers

__all__ = ["METRICS", "WEIGHTWATCHER", "Metric", "metric"]

Compute = Callable[[Layers], Floats]

WEIGHTWATCHER = "WeightWatcher 0.7.7"


@dataclass(frozen=True)
class Metric:
    """A number of a layer and what is known of it.

    Attributes
    ----------
    name : str
        Column in ``Analysis.details``.
    unit : str
        Unit; "1" for a pure number.
    higher_is_better : bool or None
        Direction among networks of the same shape that were trained on the same data; None where there is none.
    source : str
        Where the definition comes from.
    compute : callable
        ``Layers -> array``, a number for each layer; NaN where it cannot be computed.
    randomized : bool
        Whether it compares the layer with a random one, and is left out with ``randomize=False``.
    needs_weights : bool
        Whether it takes more than the spectrum, so that it cannot be computed again from a saved analysis.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    source: str
    compute: Compute
    randomized: bool = False
    needs_weights: bool = False


METRICS: dict[str, Metric] = {}


def metric(
    *, unit: str, higher_is_better: bool | None, source: str, randomized: bool = False, needs_weights: bool = False
) -> Callable[[Compute], Compute]:
    """Declare a function of `Layers` as the metric of its name."""

    def declare(function: Compute) -> Compute:
        name = function.__name__
        METRICS[name] = Metric(name, unit, higher_is_better, source, function, randomized, needs_weights)
        return function

    return declare
