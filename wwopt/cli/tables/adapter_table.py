"""An adapter's table for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import new_table, number, open_console, plain

if TYPE_CHECKING:
    from wwopt.low_rank import AdapterAnalysis

__all__ = ["adapter_json", "print_adapter"]

LABELS = {
    "rank": "rank", "effective_rank": "used", "stable_rank": "stable", "rank_90": "90%", "energy": "energy",
    "relative_norm": "change", "intruders": "intruders", "rounding": "rounding", "overlap": "overlap",
    "overlap_by_chance": "by chance", "cosine": "cosine", "factor": "factor",
}  # fmt: skip
SHARES = ("energy", "relative_norm", "rounding", "overlap", "overlap_by_chance")


def adapter_json(found: AdapterAnalysis) -> dict[str, Any]:
    """All of it as plain values, NaN as null."""
    return {
        "layers": json.loads(found.table.reset_index().to_json(orient="records")),
        "skipped": json.loads(found.skipped.to_json(orient="records")),
        "suggested_rank": found.suggested_rank,
        "findings": list(found.findings),
    }


def print_adapter(found: AdapterAnalysis, *, remarks: bool = True) -> None:
    """Print a row per layer and the rank that would do; with ``remarks`` also what was left out."""
    console = open_console()
    table = new_table("Adapter")
    table.add_column("name", overflow="fold")
    columns = [column for column in LABELS if column in found.table]
    for column in columns:
        table.add_column(LABELS[column], justify="right", no_wrap=True)
    table.add_column("note", no_wrap=True)
    for name, row in found.table.to_dict(orient="index").items():
        note = row["status"] if row["status"] != "success" else row.get("merge", "")
        table.add_row(plain(name), *(_cell(column, row[column]) for column in columns), plain(note))
    console.print(table)
    for name, reason in found.skipped.itertuples(index=False) if remarks else ():
        console.print(plain(f"left out: {name}: {reason}"), soft_wrap=True)
    for finding in found.findings:
        console.print(plain(f"broken: {finding}"), soft_wrap=True)
    if found.suggested_rank:
        given = int(found.table["rank"].max())
        console.print(f"A rank of {found.suggested_rank} keeps 90% of the change; {given} was given.", soft_wrap=True)


def _cell(column: str, value: float) -> str:
    return f"{value:.1%}" if column in SHARES and value == value else number(value)  # noqa: PLR0124  (not NaN)
