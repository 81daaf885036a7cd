"""An analysis as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import WIDE, new_table, number, open_console, plain
from wwopt.score import default_score

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from wwopt.analysis import Analysis

__all__ = ["analysis_json", "print_analysis"]

METRICS = {"alpha": "alpha", "alpha_null": "noise", "stable_rank": "rank", "num_traps": "traps"}
WIDE_METRICS = {"alpha": "alpha", "alpha_null": "noise", "D": "D", "stable_rank": "rank", "rand_distance": "signal",
                "num_traps": "traps"}  # fmt: skip
NAMED = 4  # weights left out for the same reason that are named one by one


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """All of an analysis but the spectra as plain values, NaN as null; no score where no layer was measured."""
    scored = None if analysis.unmeasured else default_score(analysis).explain(analysis)
    return {
        "score": scored and scored["score"],
        "terms": scored and scored["terms"],
        "not_measured": analysis.unmeasured or None,
        "findings": [asdict(finding) for finding in analysis.findings],
        "faults": json.loads(analysis.faults.to_json(orient="records")),
        "summary": {name: None if math.isnan(value) else value for name, value in analysis.summary.items()},
        "details": json.loads(analysis.details.to_json(orient="records", double_precision=15)),
        "skipped": json.loads(analysis.skipped.to_json(orient="records")),
    }


def print_analysis(analysis: Analysis, *, remarks: bool = True) -> None:
    """Print a row per layer and the score; with ``remarks`` also what was left out."""
    console = open_console()
    console.print(_layers(analysis, wide=console.width >= WIDE))
    for line in _left_out(analysis) if remarks else ():
        console.print(plain(line), soft_wrap=True)
    for finding in analysis.findings:
        if finding.row is None:
            console.print(plain(f"{finding.severity}: {finding}"), soft_wrap=True)
    _print_score(console, analysis)


def _layers(analysis: Analysis, *, wide: bool) -> Table:
    metrics = WIDE_METRICS if wide else METRICS
    table = new_table("Layers")
    table.add_column("name", overflow="fold")
    if wide:
        table.add_column("type", no_wrap=True)
    for label in ("N x M", *metrics.values()):
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column("note", no_wrap=True)
    for index, row in enumerate(analysis.details.to_dict(orient="records")):
        note = ", ".join(finding.key for finding in analysis.findings_of(index))
        cells = [_shape(row), *(_metric(row, name) for name in metrics), note]
        table.add_row(plain(row["name"]), *([row["layer_type"]] if wide else []), *cells)
    return table


def _shape(row: dict[Any, Any]) -> str:
    return f"{row['N']} x {row['M']}" + (f" x {row['rf']}" if row["rf"] > 1 else "")


def _metric(row: dict[Any, Any], name: str) -> str:
    """Format a metric; alpha with its interval, if it has one."""
    if name == "alpha" and not math.isnan(row["alpha_low"]):
        return f"{number(row['alpha'])} [{number(row['alpha_low'])}, {number(row['alpha_high'])}]"
    return number(row[name])


def _left_out(analysis: Analysis) -> list[str]:
    """A line for each weight that was left out, or for the many that share a reason."""
    lines = []
    for reason, names in analysis.skipped.groupby("reason", sort=False)["name"]:
        some = list(names) if len(names) <= NAMED else [f"{len(names)} weights, {names.iloc[0]} the first"]
        lines += [f"left out: {name}: {reason}" for name in some]
    return lines


def _print_score(console: Console, analysis: Analysis) -> None:
    if analysis.unmeasured:
        console.print(plain(f"Not measured, so there is no score: {analysis.unmeasured}"), soft_wrap=True)
        return
    score = default_score(analysis)
    explanation = score.explain(analysis)
    terms = ", ".join(f"{name} {value:.2f}" for name, value in explanation["terms"].items())
    name, value = score.settings()["name"], explanation["score"]
    console.print(f"{name} {value:.2f} of at most {score.maximum:g} (lower is better): {terms}", soft_wrap=True)
