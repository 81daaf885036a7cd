"""Results of the demo's study: tables on the terminal, figures and a report in its folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from wwopt import plots
from wwopt.cli.console import number
from wwopt.cli.demo.digits import EPOCHS
from wwopt.cli.demo.trials import compare_rules
from wwopt.reporting import write_report

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from wwopt_objectives import Best

__all__ = ["print_accuracies", "print_figures", "print_mlflow", "print_trials"]

TOP = 5
MLFLOW_PAGE = "http://127.0.0.1:5000/#/experiments/1/runs"  # the store's second experiment, after its default one


def print_trials(console: Console, trials: pd.DataFrame, chosen: Best, reason: str, folder: Path) -> None:
    """Print the best trials, what pruning saved, and the chosen trial with the reason."""
    console.print(_best_trials(trials))
    pruned, total = int((trials["state"] == "pruned").sum()), EPOCHS * len(trials)
    saved = total - int(trials["epochs"].sum())
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in chosen.trial.params.items())
    for line in (
        f"Pruning stopped {pruned} of {len(trials)} trials and saved {saved} of {total} epochs ({saved / total:.0%}).",
        reason,
        f"Its settings: {settings}.",
        f"`load_best(study)` reads its weights from {_relative(folder / 'artifacts')}.",
    ):
        console.print(line, highlight=False)


def _best_trials(trials: pd.DataFrame) -> Table:
    best = trials[trials["state"] == "complete"].sort_values("score").head(TOP)
    terms = [term for term in best["terms"].iloc[0] if any(row[term] for row in best["terms"])]
    table = Table(title="\nBest trials by score (lower is better), and the terms of the score", title_justify="left")
    for column in ("trial", "score", *terms, "alpha", "trapped"):
        table.add_column(column, justify="right")
    table.add_column("warnings", overflow="fold")
    for row in best.to_dict(orient="records"):
        numbers = [row["score"], *(row["terms"][term] for term in terms), row["alpha"]]
        table.add_row(str(row["trial"]), *map(number, numbers), f"{row['trap_energy']:.1%}", row["warnings"] or "-")
    return table


def _setting(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def print_accuracies(console: Console, trials: pd.DataFrame, chosen: int) -> None:
    """Print the test accuracy of the trial that each rule picks."""
    console.rule("Test accuracy, which the study has never seen")
    table = Table()
    table.add_column("rule")
    for column in ("trial", "test accuracy"):
        table.add_column(column, justify="right")
    for outcome in compare_rules(trials, chosen):
        table.add_row(outcome.rule, str(outcome.trial), f"{outcome.accuracy:.1%}")
    console.print(table)
    console.print("A pruned trial counts with its weights from when it was stopped.")


def print_figures(console: Console, trials: pd.DataFrame, chosen: Best, folder: Path) -> None:
    """Write the figures and the report of the chosen trial, and print where they are."""
    (folder / "pictures").mkdir(exist_ok=True)
    layers = chosen.analysis.details
    largest = str(layers.sort_values("num_evals")["name"].iloc[-1])
    figures = {
        "score-against-accuracy.png": _score_against_accuracy(trials, chosen.trial.number),
        "alphas.png": plots.alphas(chosen.analysis),
        "spectrum.png": plots.spectrum(chosen.analysis, largest),
    }
    for name, figure in figures.items():
        figure.savefig(folder / "pictures" / name)
    names = ", ".join(str(_relative(folder / "pictures" / name)) for name in figures)
    page = write_report({f"trial {chosen.trial.number}": chosen.analysis}, folder / "report.html")
    console.print(f"\nFigures: {names}", highlight=False, soft_wrap=True)
    console.print(f"Report of the chosen trial: {_relative(page)}", highlight=False, soft_wrap=True)


def _score_against_accuracy(trials: pd.DataFrame, number: int) -> Figure:
    figure, axes = plots.figure()
    for state, color, marker in (("complete", plots.BLUE, "o"), ("pruned", plots.GREY, "x")):
        rows = trials[trials["state"] == state]
        axes.scatter(rows["score"], 100 * rows["accuracy"], color=color, marker=marker, label=state)
    chosen = trials.loc[number]
    score, height = chosen["score"], 100 * chosen["accuracy"]
    axes.scatter(score, height, s=180, facecolor="none", edgecolor=plots.ORANGE, lw=2, label="chosen")
    axes.set(
        xscale="log",
        xlabel="score (lower is better)",
        ylabel="test accuracy, %",
        title="Score and test accuracy of each trial",
    )
    axes.xaxis.set_major_formatter(_tick)
    axes.xaxis.set_minor_formatter(_tick)
    axes.legend(loc="lower left")
    return figure


def _tick(value: float, _position: float) -> str:
    """Label the ticks at 1, 2 and 5 of each decade."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def print_mlflow(console: Console, folder: Path) -> None:
    """Print the command that opens the runs in MLflow."""
    mlflow = _relative(Path(sys.executable).with_name("mlflow"))
    command = f"{mlflow} ui --backend-store-uri sqlite:///{_relative(folder / 'mlflow.db')}"
    console.print(f"\nTo see the runs in MLflow: {command}", highlight=False, soft_wrap=True)
    console.print(f"then open {MLFLOW_PAGE}", highlight=False, soft_wrap=True)


def _relative(path: Path) -> Path:
    """Path from the current directory, where it lies below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (`resolve` would follow a virtual environment's links)
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
