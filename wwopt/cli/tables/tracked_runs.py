"""What was logged, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import new_table, open_console, plain
from wwopt.cli.tables.layer_table import number

if TYPE_CHECKING:
    from wwopt_trackers import Selection, Synced, Verified

__all__ = ["print_selection", "print_synced", "print_verified", "selection_json", "synced_json", "verified_json"]

NAMED = 5  # points of a run that are printed; the JSON has all


def selection_json(selection: Selection) -> dict[str, Any]:
    """Everything of a selection, NaN as null."""
    best = selection.best
    rows = selection.table.reset_index().to_json(orient="records", double_precision=15)
    return {
        "metric": selection.metric,
        "best": {"name": best.name, "id": best.id, "study": best.study, "step": best.step, "params": dict(best.params)},
        "runs": json.loads(rows),
        "left_out": selection.left_out.to_dict(orient="records"),
        "warnings": list(selection.warnings),
    }


def print_selection(selection: Selection, *, top: int, remarks: bool) -> None:
    """Print the best runs, what was left out, and the winner."""
    console = open_console()
    shown = selection.table.head(top)
    words = ["name", *(column for column in ("study", "state") if selection.table[column].nunique() > 1)]
    numbers = ["step", "score", "alpha", *(term for term in selection.terms if shown[term].any())]
    table = new_table(f"Runs by {selection.metric} (lower is better)")
    for column in (*words, *numbers):
        table.add_column(column, justify="left" if column in words else "right", no_wrap=column in words)
    for row in shown.to_dict(orient="records"):
        table.add_row(*(plain(row[column]) for column in words), *(number(row[column]) for column in numbers))
    console.print(table)
    if remarks:
        hidden = len(selection.table) - top
        reasons = Counter(selection.left_out["reason"].tolist())
        for line in [
            *([f"and {hidden} more; `--top` shows them"] if hidden > 0 else []),
            *(f"left out: {count} because {reason}" for reason, count in reasons.most_common()),
            *selection.warnings,
        ]:
            console.print(line, markup=False, highlight=False)
    best = selection.best
    console.print(f"Best: {best.name} ({best.id}), step {best.step}", highlight=False)
    if best.params:
        settings = ", ".join(f"{name}={value}" for name, value in best.params.items())
        console.print(f"with {settings}", markup=False, highlight=False)


def synced_json(done: Sequence[Synced]) -> list[dict[str, str]]:
    """What was done with each journal."""
    return [{"journal": str(each.journal), "state": each.state, "message": each.message} for each in done]


def print_synced(done: Sequence[Synced], *, remarks: bool) -> None:
    """Print a line for each journal; without ``remarks`` only those with something pending."""
    console = open_console()
    for each in done:
        if remarks or not each.ok:
            message = f": {each.message}" if each.message else ""
            console.print(f"{each.journal}: {each.state}{message}", markup=False, highlight=False, soft_wrap=True)
    if remarks and not done:
        console.print("There is no journal.")


def verified_json(found: Sequence[Verified]) -> list[dict[str, Any]]:
    """What each run has and lacks; a point is [key, step, time, value], with null for NaN."""
    return [
        {
            "journal": str(each.journal),
            "run": each.run,
            "remote": each.remote,
            "points": each.points,
            "missing": [_plain(point) for point in each.missing],
            "duplicated": [_plain(point) for point in each.duplicated],
            "unwritten": list(each.unwritten),
            "message": each.message,
        }
        for each in found
    ]


def print_verified(found: Sequence[Verified], *, remarks: bool) -> None:
    """Print a line for each run and each point that it lacks; without ``remarks`` only the runs at fault."""
    console = open_console()
    for each in found:
        if remarks or not each.ok:
            lacks = f"{len(each.missing)} missing, {len(each.duplicated)} duplicated"
            spectra = f", no spectra of {len(each.unwritten)} steps" if each.unwritten else ""
            line = f"{each.run}: {each.points} points, {each.message or lacks}{spectra}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        for kind in ("missing", "duplicated"):
            points = getattr(each, kind)
            for key, step, _, value in points[:NAMED]:
                console.print(f"  {kind}: {key} = {value:g} at step {step}", markup=False, highlight=False)
            if len(points) > NAMED:
                console.print(f"  and {len(points) - NAMED} more; `--json` has all")
    if remarks:
        console.print(
            f"{sum(each.points for each in found)} points in {len(found)} runs: "
            f"{sum(len(each.missing) for each in found)} missing, "
            f"{sum(len(each.duplicated) for each in found)} duplicated",
            highlight=False,
        )


def _plain(point: tuple[str, int, int, float]) -> list[str | int | float | None]:
    return [value if value == value else None for value in point]  # noqa: PLR0124  (NaN)
