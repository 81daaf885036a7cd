"""`METRICS`: every metric by name, with its unit, direction and source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wwopt.arrays import Floats
from wwopt.metrics.metric_input import Layers

__all__ = ["METRICS", "WEIGHTWATCHER", "Metric", "metric"]

Compute = Callable[[Layers], Floats]

WEIGHTWATCHER = "WeightWatcher 0.7.7"


@dataclass(frozen=True)
class Metric:
    """Declaration of a number of a layer.

    Attributes
    ----------
    name : str
        Column in ``Analysis.details``.
    unit : str
        Unit; "1" for a pure number.
    higher_is_better : bool or None
        Direction of better among networks of one shape that were trained on the same data; None where there is none.
    source : str
        Publication or program of the definition.
    compute : callable
        ``Layers -> array``, a number for each layer; NaN where it cannot be computed.
    randomized : bool
        Whether it compares the layer with a random matrix; left out with ``randomize=False``.
    needs_weights : bool
        Whether it needs more than the spectrum, so that it cannot be recomputed from a saved analysis.
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
    """Decorator that adds a function of `Layers` to `METRICS`, under the function's name."""

    def declare(function: Compute) -> Compute:
        name = function.__name__
        METRICS[name] = Metric(name, unit, higher_is_better, source, function, randomized, needs_weights)
        return function

    return declare
