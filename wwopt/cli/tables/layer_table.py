"""An analysis as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import WIDE, new_table, open_console, plain
from wwopt.score import default_score

if TYPE_CHECKING:
    from rich.console import Console

    from wwopt.analysis import Analysis

__all__ = ["analysis_json", "number", "print_analysis"]

LABELS = {"alpha_null": "noise", "stable_rank": "rank", "rand_distance": "signal", "num_traps": "traps"}
SHOWN = ("alpha", "alpha_null", "D", "stable_rank", "rand_distance", "num_traps")
NAMED = 4  # weights left out for the same reason that are named one by one
NARROW = ("alpha", "alpha_null", "stable_rank", "num_traps")


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """Everything but the spectra, NaN as null."""
    score = default_score(analysis).explain(analysis)
    return {
        "score": score["score"],
        "terms": score["terms"],
        "summary": {name: value if value == value else None for name, value in analysis.summary.items()},  # noqa: PLR0124
        "details": json.loads(analysis.details.to_json(orient="records", double_precision=15)),
        "skipped": json.loads(analysis.skipped.to_json(orient="records")),
    }


def print_analysis(analysis: Analysis, *, remarks: bool = True) -> None:
    """Print a row per layer, with ``remarks`` what was left out, and the score."""
    console = open_console()
    shown = SHOWN if console.width >= WIDE else NARROW
    table = new_table("Layers")
    table.add_column("name", overflow="fold")
    for column in (*(["type"] if shown is SHOWN else []), "N x M", *(LABELS.get(name, name) for name in shown), "note"):
        table.add_column(column, justify="left" if column in ("type", "note") else "right", no_wrap=True)
    for row in analysis.details.to_dict(orient="records"):
        shape = f"{row['N']} x {row['M']}" + (f" x {row['rf']}" if row["rf"] > 1 else "")
        words = (row["layer_type"], shape) if shown is SHOWN else (shape,)
        note = row["warning"] if row["status"] == "success" else row["status"]
        table.add_row(plain(row["name"]), *words, _alpha(row), *(number(row[name]) for name in shown[1:]), note)
    console.print(table)
    for line in _left_out(analysis) if remarks else ():
        console.print(plain(line), soft_wrap=True)
    _print_score(console, analysis)


def _alpha(row: dict[Any, Any]) -> str:
    """Alpha with its interval, where one was asked for."""
    low, high = number(row["alpha_low"]), number(row["alpha_high"])
    return number(row["alpha"]) + (f" [{low}, {high}]" if low != "-" else "")


def _left_out(analysis: Analysis) -> list[str]:
    """A line for each weight that was left out, or for the many that share a reason."""
    lines = []
    for reason, names in analysis.skipped.groupby("reason", sort=False)["name"]:
        some = list(names) if len(names) <= NAMED else [f"{len(names)} weights, {names.iloc[0]} the first"]
        lines += [f"left out: {name}: {reason}" for name in some]
    return lines


def _print_score(console: Console, analysis: Analysis) -> None:
    score = default_score(analysis)
    explanation = score.explain(analysis)
    terms = ", ".join(f"{name} {value:.2f}" for name, value in explanation["terms"].items())
    name, value = score.settings()["name"], explanation["score"]
    console.print(f"{name} {value:.2f} of at most {score.maximum:g} (lower is better): {terms}", soft_wrap=True)


def number(value: float | None, digits: int = 2) -> str:
    """Format a number for a table; a dash where there is none."""
    if value is None or value != value:  # noqa: PLR0124  (NaN)
        return "-"
    return f"{value:.0f}" if float(value).is_integer() and digits == 2 else f"{value:.{digits}f}"
