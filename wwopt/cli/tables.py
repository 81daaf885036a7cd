"""An analysis as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from wwopt.score import default_score

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["analysis_json", "number", "print_analysis"]

LABELS = {"stable_rank": "rank", "rand_distance": "signal", "num_traps": "traps"}
SHOWN = ("alpha", "D", "stable_rank", "rand_distance", "num_traps")


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
    console = Console()
    table = Table(title="Layers")
    table.add_column("name", overflow="fold")
    for column in ("type", "N x M", *(LABELS.get(name, name) for name in SHOWN), "note"):
        table.add_column(column, justify="left" if column in ("type", "note") else "right", no_wrap=True)
    for row in analysis.details.to_dict(orient="records"):
        note = row["warning"] if row["status"] == "success" else row["status"]
        shape = f"{row['N']} x {row['M']}" + (f" x {row['rf']}" if row["rf"] > 1 else "")
        table.add_row(str(row["name"]), row["layer_type"], shape, *(number(row[name]) for name in SHOWN), note)
    console.print(table)
    for name, reason in analysis.skipped.itertuples(index=False) if remarks else ():
        console.print(f"left out: {name}: {reason}", markup=False, highlight=False)
    score = default_score(analysis)
    explanation = score.explain(analysis)
    terms = ", ".join(f"{name} {value:.2f}" for name, value in explanation["terms"].items())
    console.print(
        f"{score.settings()['name']} {explanation['score']:.2f} of at most {score.maximum:g} (lower is better): {terms}"
    )


def number(value: float | None, digits: int = 2) -> str:
    """Format a number for a table; a dash where there is none."""
    if value is None or value != value:  # noqa: PLR0124  (NaN)
        return "-"
    return f"{value:.0f}" if float(value).is_integer() and digits == 2 else f"{value:.{digits}f}"
