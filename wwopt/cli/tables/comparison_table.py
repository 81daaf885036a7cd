"""A comparison as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wwopt.cli.console import new_table, number, open_console, plain

if TYPE_CHECKING:
    from wwopt.comparison import Comparison

__all__ = ["print_comparison"]

COLUMNS = ("distance", "spectrum", "alpha", "rank", "traps")
MARKS = {"same": "[dim]=[/dim]", "changed": "~", "equivalent": "[green]=[/green]", "alert": "[bold red]![/bold red]"}


def print_comparison(comparison: Comparison, *, everything: bool = True) -> None:
    """Print a row per layer and a summary; without ``everything`` the broken layers only, and no warnings."""
    console = open_console()
    rows = comparison.table if everything else comparison.table[comparison.table["status"] == "alert"]
    table = new_table()
    table.add_column("")
    table.add_column("layer", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for row in rows.reset_index().to_dict(orient="records"):
        table.add_row(*_cells(row))
    if len(rows):
        console.print(table)
    for warning in comparison.warnings if everything else ():
        console.print(plain(warning), soft_wrap=True)
    console.print(plain(_summary(comparison)), soft_wrap=True)


def _cells(row: dict[Any, Any]) -> list[Any]:
    changes = [number(row[column], 3) for column in ("distance", "spectrum")]
    pairs = [_before_and_after(row, column) for column in ("alpha", "stable_rank", "num_traps")]
    return [MARKS[row["status"]], plain(row["name"]), *changes, *pairs, plain(row["note"] or row["status"])]


def _before_and_after(row: dict[Any, Any], column: str) -> str:
    before, after = number(row[f"{column}_before"], 1), number(row[column], 1)
    return after if before == after else f"{before} > {after}"


def _summary(comparison: Comparison) -> str:
    counts = comparison.table["status"].value_counts()
    changed, moved = int(counts.get("changed", 0)), int(counts.get("equivalent", 0))
    if comparison.alerts:
        names = ", ".join(alert.name for alert in comparison.alerts)
        return f"{len(comparison.alerts)} of {len(comparison.table)} layers broken: {names}"
    if not changed and not moved:
        return "No layer has changed."
    return f"No layer is broken; {changed} changed" + (f", {moved} only in order or scale." if moved else ".")
