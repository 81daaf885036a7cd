"""Processor time of old and new in turn, so that whatever else the machine does hits both."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.regression.checkouts import Checkout

__all__ = ["timing"]

PACKAGES = ("wwopt", "wwopt_objectives", "wwopt_trackers")


def timing(old: Checkout, new: Checkout, materials: Path, rounds: int) -> str:
    """Time both, and make a table of the medians."""
    seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in range(rounds):
        first, second = _round(old, new, materials, swap=bool(each % 2))
        for name, before in first.items():
            seconds[name].append((before, second[name]))
    return "\n".join([f"{'':28}{'old, s':>10}{'new, s':>10}{'new/old':>10}", *map(_line, seconds, seconds.values())])


def _round(old: Checkout, new: Checkout, materials: Path, *, swap: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Time both once; which is first changes from round to round."""
    pair = (new, old) if swap else (old, new)
    times = {id(checkout): _measure(checkout, materials) for checkout in pair}
    return times[id(old)], times[id(new)]


def _measure(checkout: Checkout, materials: Path) -> dict[str, float]:
    imports = {f"import {package}": checkout.import_seconds(package) for package in PACKAGES}
    return imports | checkout.work(materials, "--time")


def _line(name: str, pairs: list[tuple[float, float]]) -> str:
    """Medians of both, and the median of the rounds' ratios."""
    old, new = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(new / old for old, new in pairs)
    return f"{name:28}{old:10.3f}{new:10.3f}{ratio:10.2f}"
