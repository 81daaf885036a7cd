"""A selection among past runs as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from wwopt.cli.console import new_table, number, open_console, plain

if TYPE_CHECKING:
    from wwopt_trackers import Selection

__all__ = ["print_selection", "selection_json"]


def selection_json(selection: Selection) -> dict[str, Any]:
    """All of a selection as plain values, NaN as null."""
    best = selection.best
    rows = selection.table.reset_index().to_json(orient="records", double_precision=15)
    return {
        "metric": selection.metric,
        "best": {"name": best.name, "id": best.id, "study": best.study, "step": best.step, "params": dict(best.params)},
        "chosen": [vars(choice) for choice in selection.choices],
        "runs": json.loads(rows),
        "left_out": selection.left_out.to_dict(orient="records"),
        "warnings": list(selection.warnings),
    }


def print_selection(selection: Selection, *, top: int, remarks: bool) -> None:
    """Print the ``top`` best runs and the best one's parameters; with ``remarks`` also what was left out."""
    console = open_console()
    shown = selection.table.head(top)
    texts = ["name", *(column for column in ("study", "state") if selection.table[column].nunique() > 1)]
    numbers = ["step", "score", "alpha", *(term for term in selection.terms if shown[term].any())]
    table = new_table(f"Runs by {selection.metric} (lower is better)")
    for column in (*texts, *numbers):
        table.add_column(column, justify="left" if column in texts else "right", no_wrap=column in texts)
    for row in shown.to_dict(orient="records"):
        table.add_row(*(plain(row[column]) for column in texts), *(number(row[column]) for column in numbers))
    console.print(table)
    for line in _remarks(selection, top) if remarks else ():
        console.print(plain(line), soft_wrap=True)
    best = selection.best
    console.print(plain(f"Best: {best.name} ({best.id}), step {best.step}"), soft_wrap=True)
    if best.params:
        settings = ", ".join(f"{name}={value}" for name, value in best.params.items())
        console.print(plain(f"with {settings}"), soft_wrap=True)
    for choice in selection.choices:
        console.print(plain(f"Chosen by the study {choice.study}: {choice.chosen}. {choice.reason}"), soft_wrap=True)


def _remarks(selection: Selection, top: int) -> list[str]:
    hidden = len(selection.table) - top
    reasons = Counter(selection.left_out["reason"].tolist())
    return [
        *([f"and {hidden} more; `--top` shows them"] if hidden > 0 else []),
        *(f"left out: {count} because {reason}" for reason, count in reasons.most_common()),
        *selection.warnings,
    ]
