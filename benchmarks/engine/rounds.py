"""Two implementations of one workload, timed in turn, so that other load on the machine affects both."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Result", "Workload", "compare", "seconds"]


@dataclass(frozen=True)
class Workload:
    """A row of the table.

    Attributes
    ----------
    name : str
        What is done.
    ours, theirs : callable
        Run it with wwopt and with the other; the ratio is the other's time over wwopt's.
    required, target : float
        Ratios that must, and that should, be reached.
    rounds : int
        How often both are timed.
    """

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    required: float
    target: float
    rounds: int = 5


@dataclass(frozen=True)
class Result:
    """Medians over the rounds: seconds of both, and of the ratios with their extremes."""

    workload: Workload
    ours: float
    theirs: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def compare(workload: Workload) -> Result:
    """Time both in turn, after a run that fills caches and loads libraries."""
    workload.ours()
    times = [(seconds(workload.ours), seconds(workload.theirs)) for _ in range(workload.rounds)]
    ours, theirs = zip(*times, strict=True)
    ratios = tuple(their / our for our, their in times)
    return Result(workload, statistics.median(ours), statistics.median(theirs), ratios)


def seconds(function: Callable[[], object]) -> float:
    """Time one run."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
