"""The evidence as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["ablation_table", "evaluation_tables", "half_table", "markdown", "matrix", "pruning_tables", "task_table"]

Result = Mapping[str, Any]

SEES = {
    "weights": "",
    "training": "training loss",
    "inputs": "unlabelled inputs",
    "inputs and training": "unlabelled inputs, training loss",
    "data": "**held-out data**",
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table, the first column to the left, the others to the right."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ruler, *rows])


def task_table(result: Result) -> str:
    """Say what the tasks and their networks are like."""
    header = ["task", "half", "what", "networks", "chance", "median", "best", "collapsed", "within 5 of the best"]
    rows = [
        [
            f"`{name}`",
            "tuning" if task["tuning"] else "reporting",
            task["says"],
            str(task["networks"]),
            *[f"{task[key]:.3f}" for key in ("chance", "median", "best")],
            *[f"{task[key]:.0%}" for key in ("collapsed", "near_best")],
        ]
        for name, task in result["tasks"].items()
    ]
    return markdown(header, rows)


def half_table(rows: Sequence[Result], half: str) -> str:
    """Put all ways to choose side by side on one half of the tasks."""
    header = [
        *("chosen by", "uses", "mean tau", "95%", "worst tau", "tau in the best third"),
        *("regret: mean", "median", "worst", "on"),
        *("top-3: median", "worst", "collapsed wins", "search of 20: regret", "collapsed wins"),
    ]
    return markdown(header, [_half_row(row, row["halves"][half]) for row in rows if half in row["halves"]])


def _half_row(row: Result, half: Result) -> list[str]:
    low, high = half["interval"]
    count = sum(1 for _ in row["tasks"])
    interval = f"{low:.2f} to {high:.2f}" if row["name"] != "random" else ""
    worst = f"`{half['worst_task']}`" if count > 1 and row["name"] != "random" else ""
    return [
        *(row["name"], SEES[row["sees"]], f"{half['tau']:.2f}", interval, f"{half['tau_worst']:.2f}"),
        *(f"{half['tau_third']:.2f}", f"{half['top1_mean']:.1f}"),
        *(f"{half['top1_median']:.1f}", f"{half['top1_worst']:.1f}", worst),
        *(f"{half['top3_median']:.1f}", f"{half['top3_worst']:.1f}", f"{half['collapsed_wins']:.2g}"),
        *(f"{half['subset_regret']:.1f}", f"{half['subset_collapsed']:.1%}"),
    ]


def matrix(result: Result, measured: str, digits: int) -> str:
    """Put one number of each way to choose and each task into a table."""
    names = list(result["tasks"])
    rows = [
        [row["name"], SEES[row["sees"]], *[f"{row['tasks'][name][measured]:.{digits}f}" for name in names]]
        for row in result["judges"]
    ]
    return markdown(["chosen by", "uses", *[f"`{name}`" for name in names]], rows)


def interval_table(result: Result) -> str:
    """Tau with its interval on each task, of the scores and of the training loss."""
    shown = [row for row in result["judges"] if row["name"] in (*result["points"], "AlignmentScore()", "training loss")]
    rows = [[f"`{name}`", *[_with_interval(row["tasks"][name]) for row in shown]] for name in result["tasks"]]
    return markdown(["task", *[row["name"] for row in shown]], rows)


def _with_interval(row: Result) -> str:
    low, high = row["interval"]
    return f"{row['tau']:.2f} ({low:.2f} to {high:.2f})"


def ablation_table(result: Result) -> str:
    """Say what each term of `AlphaScore` is worth."""
    header = ["score"]
    halves = [half for half in ("tuning", "reporting") if half in result["ablations"][0]["halves"]]
    for half in halves:
        header += [f"{half}: mean tau", "worst tau", "worst regret", "search of 20: regret", "collapsed wins"]
    rows = [
        [row["name"], *[cell for half in halves for cell in _worth(row["halves"][half])]] for row in result["ablations"]
    ]
    return markdown(header, rows)


def _worth(half: Result) -> list[str]:
    return [
        *(f"{half['tau']:.2f}", f"{half['tau_worst']:.2f}", f"{half['top1_worst']:.1f}"),
        *(f"{half['subset_regret']:.1f}", f"{half['subset_collapsed']:.1%}"),
    ]


def evaluation_tables(result: Result) -> str:
    """Put everything that `evaluate` prints together."""
    parts = [("Tasks", task_table(result))]
    parts += [
        (f"The {half} half", half_table(result["judges"], half))
        for half in ("tuning", "reporting")
        if half in result["judges"][0]["halves"]
    ]
    parts += [
        ("Tau with its interval", interval_table(result)),
        ("Kendall's tau with test quality", matrix(result, "tau", 2)),
        ("Top-1 regret, points", matrix(result, "top1", 1)),
        ("Top-3 regret, points", matrix(result, "top3", 1)),
        ("Regret of a search of 20, points, mean", matrix(result, "subset_regret", 1)),
        ("Share of searches of 20 that a collapsed network wins", matrix(result, "subset_collapsed", 3)),
        ("What each term is worth", ablation_table(result)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts)


def pruning_tables(result: Result) -> str:
    """Say what pruners save and what they lose."""
    names = list(result["tasks"])
    header = ["pruner", "uses", *[f"`{name}`" for name in names]]
    parts = []
    for title, form in (
        ("Share of the epochs used", lambda row: f"{row['epochs']:.0%}"),
        ("Points lost against the unpruned choice", _lost),
        ("Trainings that ran to their end", lambda row: str(row["finished"])),
        ("Searches of 32: share of the epochs, mean", lambda row: f"{row['search_epochs']:.0%}"),
        ("Searches of 32: points lost, mean", lambda row: f"{row['search_lost']:.1f}"),
        ("Searches of 32: points lost, worst", lambda row: f"{row['search_lost_worst']:.1f}"),
    ):
        rows = [
            [row["name"], SEES[row["sees"]], *[form(row["tasks"][name]) for name in names]] for row in result["pruners"]
        ]
        parts.append(f"{title}:\n\n{markdown(header, rows)}")
    parts.append(f"Why AlphaPruner stopped trainings:\n\n{_reasons(result)}")
    return "\n\n".join(parts)


def _lost(row: Result) -> str:
    return f"{row['lost']:.1f}" if row["finished"] else f"{row['lost']:.1f} (none left)"


def _reasons(result: Result) -> str:
    tasks = result["pruners"][0]["tasks"]
    reasons = sorted({reason for row in tasks.values() for reason in row["reasons"]})
    rows = [[f"`{name}`", *[str(row["reasons"].get(reason, 0)) for reason in reasons]] for name, row in tasks.items()]
    return markdown(["task", *reasons], rows)
