"""Measures of a way to choose: Kendall's tau, regret, and how often a collapsed network wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["best_third", "measure", "summary", "taus"]

Values = NDArray[np.float64]

RESAMPLES = 2000
FEW = 20  # networks in a subset: a search of that size
LEVEL = 0.95


def measure(values: Values, quality: Values, collapsed: NDArray[np.bool_]) -> dict[str, Any]:
    """Measure values, lower for a better network, shape (n,) or (draws, n), against the test quality, shape (n,).

    ``quality`` is 0 at chance and 1 for the best network. Regret is in points: 100 (best - chosen) / best. Of tied
    networks the worst counts as chosen.
    """
    draws = [_measure(row, quality, collapsed) for row in np.atleast_2d(values)]
    mean = {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0] if name != "resampled"}
    resampled = draws[0]["resampled"]
    return {**mean, "interval": _interval(resampled) if len(draws) == 1 else None, "resampled": resampled}


def _measure(values: Values, quality: Values, collapsed: NDArray[np.bool_]) -> dict[str, Any]:
    values = np.where(np.isnan(values), np.inf, values)
    order = np.lexsort((quality, values))
    winners, best = _subsets(order, quality)
    regrets = 100 * (best - quality[winners]) / np.where(best > 0, best, 1.0)
    return {
        "tau": float(taus(values, quality, np.ones((1, len(values))))[0]),
        "tau_third": best_third(values, quality),
        "resampled": taus(values, quality, _multiplicities(len(values))),
        "top1": 100 * float(1 - quality[order[0]]),
        "top3": 100 * float(1 - quality[order[:3]].max()),
        "collapsed_wins": float(collapsed[order[0]]),
        "subset_regret": float(regrets.mean()),
        "subset_regret_90": float(np.quantile(regrets, 0.9)),
        "subset_collapsed": float(collapsed[winners].mean()),
    }


def taus(values: Values, quality: Values, times: Values) -> Values:
    """Kendall's tau-b of -values and quality in resamples; ``times[b, i]`` is how often network i is in resample b.

    Equals `scipy.stats.kendalltau`, which takes one resample at a time: 20 times as long for 2000 of 60 networks.
    """
    ranks = rankdata(values, method="dense")  # which unlike values may be subtracted: inf - inf is NaN
    up = np.sign(ranks[None, :] - ranks[:, None]).astype(np.float64)
    down = np.sign(quality[:, None] - quality[None, :])
    both, one, other = (((times @ pairs) * times).sum(axis=1) for pairs in (up * down, np.abs(up), np.abs(down)))
    scale = np.sqrt(one * other)
    return np.divide(both, scale, out=np.zeros_like(both), where=scale > 0)


def best_third(values: Values, quality: Values) -> float:
    """Kendall's tau-b with quality among the best third of the networks.

    Examples
    --------
    >>> best_third(np.array([0.0, 1, 2, 3, 4, 5]), np.array([0.9, 1.0, 0.5, 0.4, 0.3, 0.2]))
    -1.0
    """
    top = np.argsort(-quality, kind="stable")[: -(-len(quality) // 3)]
    return float(taus(values[top], quality[top], np.ones((1, len(top))))[0])


def summary(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Summarize the measures of several tasks; the interval of the mean tau resamples the networks of each task."""
    rows = list(tasks.values())
    worst = max(tasks, key=lambda name: tasks[name]["top1"])
    return {
        "tau": _mean(rows, "tau"),
        "interval": _interval(np.mean([row["resampled"] for row in rows], axis=0)),
        "tau_worst": min(row["tau"] for row in rows),
        "tau_third": _mean(rows, "tau_third"),
        "top1_mean": _mean(rows, "top1"),
        "top1_median": float(np.median([row["top1"] for row in rows])),
        "top1_worst": tasks[worst]["top1"],
        "top3_median": float(np.median([row["top3"] for row in rows])),
        "top3_worst": max(row["top3"] for row in rows),
        "worst_task": worst,
        "collapsed_wins": sum(row["collapsed_wins"] for row in rows),
        "subset_regret": _mean(rows, "subset_regret"),
        "subset_regret_worst": max(row["subset_regret"] for row in rows),
        "subset_collapsed": _mean(rows, "subset_collapsed"),
    }


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _interval(values: Values) -> list[float]:
    rest = (1 - LEVEL) / 2
    return [float(np.quantile(values, end)) for end in (rest, 1 - rest)]


@cache
def _multiplicities(count: int) -> Values:
    """Bootstrap resamples of all networks, the same for every way to choose."""
    rng = np.random.default_rng(0)
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)


def _subsets(order: NDArray[np.intp], quality: Values) -> tuple[NDArray[np.intp], Values]:
    """Winner and best quality in random subsets of `FEW` networks, the same for every way to choose."""
    members = _members(len(order))
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    winners = members[np.arange(RESAMPLES), position[members].argmin(axis=1)]
    return winners, quality[members].max(axis=1)


@cache
def _members(count: int) -> NDArray[np.intp]:
    return np.argsort(np.random.default_rng(1).random((RESAMPLES, count)), axis=1)[:, :FEW]
