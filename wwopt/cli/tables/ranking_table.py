"""A ranking as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import WIDE, new_table, number, open_console, plain
from wwopt.ranking.by_answers import RUNGS

if TYPE_CHECKING:
    from wwopt.ranking import Ranking

__all__ = ["print_ranking", "ranking_json"]

LABELS = {"score": "score", "alpha": "alpha", "alpha_weighted": "alpha w.", "share_over_6": "above"}
EVIDENCE = {"agreement": "agreement", "competence": "competence", "loss": "loss"}
WIDE_LABELS = {"share_trapped": "traps", "log_norm": "log norm", "stable_rank": "stable rank"}
SHARES = ("share_over_6", "share_trapped")
UNITS = {"G": 1e9, "M": 1e6, "k": 1e3}


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """All of a ranking as plain values, NaN as null; of a ranking by weights only ``can_tell`` is null."""
    verdict = ranking.verdict
    return {
        "metric": ranking.metric,
        "rung": ranking.rung,
        "reason": ranking.reason,
        "best": ranking.best,
        "ties": list(ranking.ties),
        "warnings": list(ranking.warnings),
        "can_tell": None if verdict is None else verdict.can_tell,
        "contradiction": None if verdict is None else verdict.contradiction,
        "table": json.loads(ranking.table.reset_index().to_json(orient="records", double_precision=15)),
    }


def print_ranking(ranking: Ranking, *, remarks: bool = True) -> None:
    """Print a row per network, the best first; with ``remarks`` the reason for the metric, and the warnings."""
    console = open_console()
    if remarks:
        console.print(f"{_heading(ranking)}: {ranking.reason.removesuffix('.')}.", highlight=False, soft_wrap=True)
    labels = LABELS | (WIDE_LABELS if console.width >= WIDE else {})
    if ranking.verdict is not None:
        labels = {name: label for name, label in EVIDENCE.items() if ranking.table[name].notna().any()} | labels
    if ranking.verdict is None:
        labels.pop(ranking.metric, None)
    table = new_table()
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    ranked_by = ranking.metric if ranking.verdict is None else "value"
    for label in (ranked_by, *labels.values(), "weights"):
        table.add_column(label, justify="right", no_wrap=True)
    for row in ranking.table.reset_index().to_dict(orient="records"):
        means = [_mean(column, row[column]) for column in labels]
        table.add_row(_rank(row), plain(_model(row)), _value(row), *means, _size(row["parameters"]))
    console.print(table)
    for warning in ranking.warnings if remarks else ():
        if warning not in ranking.faults:
            console.print(plain(warning), soft_wrap=True)


def _heading(ranking: Ranking) -> str:
    rests_on = "" if ranking.verdict is None else f", from {RUNGS[ranking.rung]}"
    return f"Ranked by {ranking.metric}{rests_on}"


def _rank(row: dict[Any, Any]) -> str:
    """Format a rank: 1, or 1 (1-3) with the range of a bootstrap over the layers."""
    if math.isnan(row["rank"]):
        return "-"
    low, high = row["rank_low"], row["rank_high"]
    interval = "" if math.isnan(low) or low == high else f" ({low:.0f}-{high:.0f})"
    return f"{row['rank']:.0f}{interval}"


def _model(row: dict[Any, Any]) -> str:
    return str(row["name"]) if row["status"] == "ranked" else f"{row['name']} ({row['status']})"


def _value(row: dict[Any, Any]) -> str:
    if math.isnan(row["low"]):
        return number(row["value"])
    return f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]"


def _mean(column: str, value: float) -> str:
    return f"{value:.0%}" if column in SHARES and not math.isnan(value) else number(value)


def _size(count: float) -> str:
    if math.isnan(count):
        return "-"
    for unit, size in UNITS.items():
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f}"
