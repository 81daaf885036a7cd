"""`wwopt demo`: a study from the first trial to the pictures, on real data."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
import torch
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from wwopt import plots
from wwopt.cli.demo.digits import EPOCHS, Digits, Trainer, accuracy, load
from wwopt.cli.tables.layer_table import number
from wwopt.reporting import write_report
from wwopt_objectives import AlphaObjective, AlphaPruner, Best, load_best
from wwopt_trackers import MLflowTracker, WandbTracker

if TYPE_CHECKING:
    from wwopt.tracking import Tracker

__all__ = ["Choice", "choices", "open_study", "open_trackers", "run_demo", "tune"]

TOP = 5
CHOSEN = "wwopt's score (chosen)"
MLFLOW_PAGE = "http://127.0.0.1:5000/#/experiments/1/runs"  # the store's second experiment, after its default one
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def run_demo(folder: Path, *, n_trials: int, seed: int, wandb: bool) -> pd.DataFrame:
    """Run the study, print what a person wants to see, and return a row per trial."""
    console = Console()
    torch.set_num_threads(1)  # networks this small only wait for a second thread
    (folder / "networks").mkdir(parents=True, exist_ok=True)
    training, test = load()
    study = open_study(folder, seed)
    store = FileSystemArtifactStore(folder / "artifacts")
    (folder / "artifacts").mkdir(exist_ok=True)
    remaining = n_trials - len(study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.FAIL)))
    console.print(
        f"Tuning a perceptron on {len(training.images)} images of digits by its weights alone: "
        f"{max(remaining, 0)} of {n_trials} trials of {EPOCHS} epochs, without validation or test data.",
        highlight=False,
    )
    train, trackers = Trainer(training, folder / "networks", seed), open_trackers(folder, study, wandb=wandb)
    tune(study, train, store, trackers, remaining)
    best = load_best(study, artifact_store=store)
    trials = _table(study)
    _print_trials(console, trials, best, folder)
    _print_look(console, trials, folder, test)
    _print_pictures(console, trials, best, folder)
    console.print(f"\nThe runs in MLflow's page: {_mlflow_command(folder)}", highlight=False, soft_wrap=True)
    console.print(f"then open {MLFLOW_PAGE}", highlight=False, soft_wrap=True)
    return trials


def tune(
    study: optuna.Study, train: Trainer, store: FileSystemArtifactStore, trackers: list[Tracker], n_trials: int
) -> None:
    """Run the trials; the trackers' backends have them when it returns."""
    with ExitStack() as stack:
        for tracker in trackers:
            stack.enter_context(tracker)
        objective = AlphaObjective(train, n_steps=EPOCHS, trackers=trackers, artifact_store=store, keep="last")
        if n_trials > 0:
            study.optimize(objective, n_trials=n_trials, show_progress_bar=sys.stderr.isatty())


def open_study(folder: Path, seed: int) -> optuna.Study:
    """Open the study or go on with it; trials that an interruption left running are ended as failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    study = optuna.create_study(
        study_name=f"digits-seed-{seed}",
        storage=f"sqlite:///{folder / 'study.db'}",
        direction="minimize",
        pruner=AlphaPruner(),
        load_if_exists=True,
    )

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    study.sampler = optuna.samplers.TPESampler(seed=seed + 1000 * len(study.trials))
    return study


def open_trackers(folder: Path, study: optuna.Study, *, wandb: bool) -> list[Tracker]:
    """Trackers whose stores lie in the folder."""
    trackers: list[Tracker] = [
        MLflowTracker(
            experiment="wwopt-demo",
            uri=f"sqlite:///{folder / 'mlflow.db'}",
            run_name=study.study_name,
            artifacts=folder / "mlruns",
            journal=folder / "journal",
        )
    ]
    if wandb:
        trackers.append(
            WandbTracker(
                project="wwopt-demo", group=study.study_name, mode="offline", dir=folder, journal=folder / "journal"
            )
        )
    return trackers


def _table(study: optuna.Study) -> pd.DataFrame:
    """A row per finished trial, in order; the score of a pruned one is that of its last look."""
    rows = [_row(trial) for trial in study.get_trials(deepcopy=False, states=FINISHED)]
    return pd.DataFrame(rows).set_index("trial", drop=False)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    summary = attributes["ww_summary"]
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "feasible": all(value <= 0 for value in trial.constraints.values()),
        **attributes["ww_score"],
        "alpha": summary["alpha"],
        "trap_energy": summary["trap_energy"],
        "warnings": _warnings(summary),
        "train_loss": attributes["train_loss"],
        "epochs": attributes["ww_step"] + 1,
        "pruned_by": attributes.get("ww_pruned_by") or "",
        **trial.params,
    }


def _warnings(summary: dict[str, float | None]) -> str:
    words = {"share_over_6": "under-trained", "share_under_2": "over-trained", "share_unusable": "broken"}
    return ", ".join(f"{share:.0%} {word}" for key, word in words.items() if (share := summary[key]))


def _print_trials(console: Console, trials: pd.DataFrame, best: Best, folder: Path) -> None:
    complete = trials[trials["state"] == "complete"].sort_values("score")
    table = Table(title="\nBest trials by score (lower is better), and the terms it is made of", title_justify="left")
    terms = [term for term in complete["terms"].iloc[0] if any(row[term] for row in complete["terms"].head(TOP))]
    for column in ("trial", "score", *terms, "alpha", "trapped", "warnings"):
        table.add_column(column, justify="left" if column == "warnings" else "right")
    for row in complete.head(TOP).to_dict(orient="records"):
        numbers = (row["score"], *(row["terms"][term] for term in terms), row["alpha"])
        table.add_row(str(row["trial"]), *map(number, numbers), f"{row['trap_energy']:.1%}", row["warnings"] or "-")
    console.print(table)
    pruned, total = int((trials["state"] == "pruned").sum()), EPOCHS * len(trials)
    saved = total - int(trials["epochs"].sum())
    console.print(
        f"Pruning stopped {pruned} of {len(trials)} trials and saved {saved} of {total} epochs ({saved / total:.0%})."
    )
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in best.trial.params.items())
    console.print(f"The winner is trial {best.trial.number}: {settings}.", highlight=False)
    console.print(f"`load_best(study)` reads its weights from {_relative(folder / 'artifacts')}.", highlight=False)


def _setting(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Choice:
    """Which trial a rule picks, and how it does on the test set."""

    rule: str
    trial: int
    accuracy: float


def choices(trials: pd.DataFrame) -> list[Choice]:
    """What each rule would have chosen; ``trials`` has the test accuracies in the column ``accuracy``."""
    complete = trials[(trials["state"] == "complete") & trials["feasible"]]
    ordered = trials.sort_values("accuracy")
    picks: dict[str, Any] = {
        CHOSEN: complete["score"].idxmin(),
        "best of all trials": ordered.index[-1],
        "median of all trials": ordered.index[len(ordered) // 2],
        "smallest training loss": trials["train_loss"].idxmin(),
        "smallest mean alpha": trials["alpha"].idxmin(),
    }
    return [Choice(rule, int(trial), float(trials["accuracy"].loc[trial])) for rule, trial in picks.items()]


def _print_look(console: Console, trials: pd.DataFrame, folder: Path, test: Digits) -> None:
    trials["accuracy"] = [accuracy(folder / "networks" / f"trial-{number}.pt", test) for number in trials["trial"]]
    console.rule("A look that the study never had: the test set")
    table = Table()
    for column in ("rule", "trial", "test accuracy"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for choice in choices(trials):
        table.add_row(choice.rule, str(choice.trial), f"{choice.accuracy:.1%}")
    console.print(table)
    console.print("Trials that were pruned count as they stood when they were stopped.")


def _print_pictures(console: Console, trials: pd.DataFrame, best: Best, folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    rows = best.analysis.details
    layer = str(rows.sort_values("num_evals")["name"].iloc[-1])
    figures = {
        "score-against-accuracy.png": _scatter(trials),
        "alphas.png": plots.alphas(best.analysis),
        "spectrum.png": plots.spectrum(best.analysis, layer),
    }
    for name, figure in figures.items():
        figure.savefig(pictures / name)
    console.print(
        f"\nPictures: {', '.join(str(_relative(pictures / name)) for name in figures)}", highlight=False, soft_wrap=True
    )
    page = write_report({f"trial {best.trial.number}": best.analysis}, folder / "report.html")
    console.print(f"The winner's layers, with every spectrum: {_relative(page)}", highlight=False, soft_wrap=True)


def _scatter(trials: pd.DataFrame) -> Any:
    """Score of each trial against the test accuracy that nobody looked at while it was chosen."""
    figure, axes = plots.figure()
    chosen = trials[trials["trial"] == choices(trials)[0].trial].iloc[0].to_dict()
    for state, color, marker in (("complete", plots.BLUE, "o"), ("pruned", plots.GREY, "x")):
        rows = trials[trials["state"] == state]
        axes.scatter(rows["score"], 100 * rows["accuracy"], color=color, marker=marker, label=state)
    axes.scatter(
        chosen["score"], 100 * chosen["accuracy"], s=180, facecolor="none", edgecolor=plots.ORANGE, lw=2, label="chosen"
    )
    axes.set(
        xscale="log",
        xlabel="score (lower is better)",
        ylabel="test accuracy, %",
        title="The score and what it never saw",
    )
    for axis in ("major", "minor"):
        getattr(axes.xaxis, f"set_{axis}_formatter")(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else "")
    axes.legend(loc="lower left")
    return figure


def _mlflow_command(folder: Path) -> str:
    mlflow = _relative(Path(sys.executable).with_name("mlflow"))
    return f"{mlflow} ui --backend-store-uri sqlite:///{_relative(folder / 'mlflow.db')}"


def _relative(path: Path) -> Path:
    """Path as one would type it here."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (`resolve` would follow a virtual environment's links)
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
