"""Table of a ranking: a row per network, with its number, the interval of it, and its ranks by other numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wwopt.ranking.architecture import Architecture, same_shapes
from wwopt.ranking.intervals import rank_draws

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats
    from wwopt.ranking.choose_metric import Judge

__all__ = [
    "BROKEN",
    "NOTHING_LEARNED",
    "NOT_ASKED",
    "NOT_MEASURED",
    "RANKED",
    "UNREADABLE",
    "Network",
    "ranking_table",
]

SUMMARY = ("alpha", "alpha_weighted", "share_over_6", "share_trapped", "trap_energy", "log_norm", "log_alpha_norm",
           "log_spectral_norm", "stable_rank")  # fmt: skip
MORE_IS_BETTER = ("stable_rank", "parameters")
COLUMNS = ("value", "score", *SUMMARY, "parameters", "layers", "status", "note")
RANKED, BROKEN, NOT_ASKED = "ranked", "broken", "not asked"
NOT_MEASURED, UNREADABLE = "not measured", "unreadable"
NOTHING_LEARNED = "no layer can be told from noise"  # note of such a network
NAMED = 3  # broken layers and tensors of one kind that are named
CONFIDENCE = 0.95
LEVELS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]


@dataclass(frozen=True)
class Network:
    """A candidate that has been analysed."""

    name: str
    analysis: Analysis
    architecture: Architecture
    is_module: bool = False


def ranking_table(
    networks: Sequence[Network], judge: Judge, unmeasured: Mapping[str, str], faults: Mapping[str, str], seed: int
) -> pd.DataFrame:
    """Order the networks, the best first, then the broken; those without a number come last. See `Ranking.table`.

    Parameters
    ----------
    networks : sequence of Network
        With a layer that was measured, or with a fault.
    judge : Judge
        What they are ranked by.
    unmeasured, faults : mapping of str to str
        Names of candidates that were not measured, and that cannot be read, with the reasons.
    seed : int
        Of the bootstrap over layers.
    """
    paired = bool(networks) and same_shapes([network.architecture for network in networks])
    draws = [judge.draws(network.analysis, seed if paired else seed + i) for i, network in enumerate(networks)]
    rows = [_row(network, judge) for network in networks]
    table = pd.DataFrame(rows, columns=None if rows else ["name", *COLUMNS]).set_index("name")
    table = table.join(_uncertainty(table, [judge.sign * draw for draw in draws], judge.sign))
    for column in ("score", *SUMMARY, "parameters"):
        table[f"rank_{column}"] = table[column].rank(method="min", ascending=column not in MORE_IS_BETTER)
    behind = table["note"] == NOTHING_LEARNED
    order = np.lexsort([judge.sign * table["value"], table["value"].isna(), behind, table["status"] == BROKEN])
    table = table.iloc[order]
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    for status, reasons in ((NOT_MEASURED, unmeasured), (UNREADABLE, faults)):
        table = _with_others(table, status, reasons)
    return table.astype({"tied": bool})


def _with_others(table: pd.DataFrame, status: str, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Add rows of candidates without a number, and the reasons."""
    if not reasons:
        return table
    rows = {"status": status, "note": list(reasons.values()), "tied": False}
    others = pd.DataFrame(rows, index=pd.Index(list(reasons), name="name"))
    return pd.concat([table, others.reindex(columns=table.columns)])


def _row(network: Network, judge: Judge) -> dict[str, Any]:
    analysis, broken = network.analysis, _note(network.analysis)
    nothing = NOTHING_LEARNED if judge.behind(analysis) else ""
    summary = analysis.summary
    return {
        "name": network.name,
        "value": judge.value(analysis),
        "score": judge.score(analysis),
        **{name: summary[name] for name in SUMMARY},
        "parameters": network.architecture.parameters,
        "layers": len(analysis.details),
        "status": BROKEN if broken else RANKED,
        "note": broken or nothing,
    }


def _note(analysis: Analysis) -> str:
    """What is broken in a network; empty where nothing is."""
    names: dict[str, list[str]] = {}
    for finding in analysis.broken:
        names.setdefault(finding.key, []).append(finding.layer)
    return "; ".join(f"{key}: {', '.join(found[:NAMED])}" for key, found in names.items())


def _uncertainty(table: pd.DataFrame, draws: Sequence[Floats], sign: int) -> pd.DataFrame:
    """Intervals of the value and of the rank, and whether a network ties with the best.

    Those that learned nothing while others did have no range of ranks: they come behind, whatever their value.
    """
    measured = [i for i, status in enumerate(table["status"]) if status == RANKED and np.isfinite(draws[i]).all()]
    frame = pd.DataFrame(math.nan, index=table.index, columns=["low", "high", "rank_low", "rank_high"])
    frame["tied"] = False
    if not measured:
        return frame
    for i in measured:
        frame.iloc[i, :2] = sorted(sign * np.quantile(draws[i], LEVELS))
    sound = [i for i in measured if table["note"].iloc[i] != NOTHING_LEARNED] or measured
    ranks = rank_draws([draws[i] for i in sound])
    best = min(sound, key=lambda i: sign * table["value"].iloc[i])
    for i, ranks_of_one in zip(sound, ranks, strict=True):
        frame.iloc[i, 2:4] = np.quantile(ranks_of_one, LEVELS, method="inverted_cdf")
        frame.iloc[i, 4] = bool(np.quantile(draws[i] - draws[best], LEVELS[0]) <= 0)
    return frame
