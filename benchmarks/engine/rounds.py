"""Two ways of doing the same work, timed in turn, so that whatever else the machine does hits both."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Result", "Work", "compare", "seconds"]


@dataclass(frozen=True)
class Work:
    """One line of the table.

    Attributes
    ----------
    name : str
        What is done.
    ours, theirs : callable
        Do it; the ratio is the second's time over the first's.
    asked, aimed : float
        Ratios that the project asks of itself.
    rounds : int
        How often both are timed.
    """

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    asked: float
    aimed: float
    rounds: int = 5


@dataclass(frozen=True)
class Result:
    """Medians over the rounds: seconds of both, and of the ratios with their extremes."""

    work: Work
    ours: float
    theirs: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def compare(work: Work) -> Result:
    """Time both in turn, after one of ours that fills caches and loads libraries."""
    work.ours()
    times = [(seconds(work.ours), seconds(work.theirs)) for _ in range(work.rounds)]
    ours, theirs = zip(*times, strict=True)
    ratios = tuple(their / our for our, their in times)
    return Result(work, statistics.median(ours), statistics.median(theirs), ratios)


def seconds(work: Callable[[], object]) -> float:
    """Time one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
