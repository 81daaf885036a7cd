"""Rankings and comparisons as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import WIDE, new_table, open_console, plain
from wwopt.cli.tables.layer_table import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from wwopt.comparison import Comparison
    from wwopt.ranking import Ranking

__all__ = ["print_comparison", "print_ranking", "ranking_json"]

MEANS = {"score": "score", "alpha": "alpha", "alpha_weighted": "alpha w.", "share_over_6": "> 6"}
MORE_MEANS = {"share_trapped": "traps", "log_norm": "log norm", "stable_rank": "stable rank"}
SHARES = ("share_over_6", "share_trapped")
MARKS = {"same": "[dim]=[/dim]", "changed": "~", "equivalent": "[green]=[/green]", "alert": "[bold red]![/bold red]"}


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """Give everything as plain values, NaN as null."""
    return {
        "metric": ranking.metric,
        "reason": ranking.reason,
        "best": ranking.best,
        "ties": list(ranking.ties),
        "warnings": list(ranking.warnings),
        "table": json.loads(ranking.table.reset_index().to_json(orient="records", double_precision=15)),
    }


def print_ranking(ranking: Ranking, *, remarks: bool = True) -> None:
    """Print a row per network, the best first, with ``remarks`` why so and what to keep in mind."""
    console = open_console()
    if remarks:
        console.print(f"Ranked by {ranking.metric}: {ranking.reason}.", highlight=False, soft_wrap=True)
    labels = MEANS | (MORE_MEANS if console.width >= WIDE else {})
    shown = [column for column in labels if column != ranking.metric]
    table = new_table("")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    for label in (ranking.metric, *(labels[column] for column in shown), "weights"):
        table.add_column(label, justify="right", no_wrap=True)
    for name, row in _rows(ranking.table):
        model = name if row["status"] == "ranked" else f"{name} ({row['status']})"
        means = [_mean(column, row[column]) for column in shown]
        table.add_row(_rank(row), plain(model), _interval(row), *means, _size(row["parameters"]))
    console.print(table)
    hints = [warning for warning in ranking.warnings if warning not in ranking.faults]
    for warning in hints if remarks else ():
        console.print(plain(warning), soft_wrap=True)


def print_comparison(comparison: Comparison, *, everything: bool = True) -> None:
    """Print a line per layer, or of the broken ones only, and a sentence on all."""
    console = open_console()
    rows = comparison.table if everything else comparison.table[comparison.table["status"] == "alert"]
    table = new_table("")
    table.add_column("")
    table.add_column("layer", overflow="fold")
    for column in ("distance", "spectrum", "alpha", "rank", "traps"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name, row in _rows(rows):
        pairs = [_pair(row, column) for column in ("alpha", "stable_rank", "num_traps")]
        numbers = (number(row["distance"], 3), number(row["spectrum"], 3), *pairs)
        table.add_row(MARKS[row["status"]], plain(name), *numbers, plain(row["note"] or row["status"]))
    if len(rows):
        console.print(table)
    for warning in comparison.warnings if everything else ():
        console.print(plain(warning), soft_wrap=True)
    console.print(plain(_verdict(comparison)), soft_wrap=True)


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, row in zip(table.index, table.to_dict(orient="records"), strict=True):
        yield str(name), {str(column): value for column, value in row.items()}


def _verdict(comparison: Comparison) -> str:
    broken, counts = len(comparison.alerts), comparison.table["status"].value_counts()
    changed, moved = int(counts.get("changed", 0)), int(counts.get("equivalent", 0))
    if broken:
        return f"{broken} of {len(comparison.table)} layers broken: {', '.join(a.name for a in comparison.alerts)}"
    if not changed and not moved:
        return "No layer has changed."
    return f"No layer is broken; {changed} changed" + (f", {moved} only in order or scale." if moved else ".")


def _rank(row: dict[str, Any]) -> str:
    """1, or 1-3 where layers could also tell otherwise."""
    if row["status"] == "unreadable":
        return "-"
    low, high = row["rank_low"], row["rank_high"]
    spread = "" if low != low or low == high else f" ({low:.0f}-{high:.0f})"  # noqa: PLR0124  (NaN)
    return f"{row['rank']:.0f}{spread}"


def _interval(row: dict[str, Any]) -> str:
    if row["low"] != row["low"]:
        return number(row["value"])
    return f"{number(row['value'])} [{number(row['low'])}, {number(row['high'])}]"


def _mean(column: str, value: float) -> str:
    return f"{value:.0%}" if column in SHARES and value == value else number(value)  # noqa: PLR0124  (NaN)


def _size(count: float) -> str:
    if count != count:  # noqa: PLR0124  (NaN)
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f}"


def _pair(row: dict[str, Any], column: str) -> str:
    before, after = (number(row[name], 1) for name in (f"{column}_before", column))
    return after if before == after else f"{before} > {after}"
