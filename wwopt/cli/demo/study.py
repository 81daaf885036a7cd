"""Optuna study of `wwopt demo`: tuning, tracking and results, all in one folder."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState
from rich.console import Console

from wwopt.cli.demo.digits import EPOCHS, Trainer, accuracy, load
from wwopt.cli.demo.results import print_accuracies, print_figures, print_mlflow, print_trials
from wwopt.cli.demo.trials import FINISHED, trials_table
from wwopt_objectives import AlphaObjective, AlphaPruner, load_best, select
from wwopt_trackers import MLflowTracker, WandbTracker

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.tracking import Tracker

__all__ = ["open_study", "open_trackers", "run_demo", "tune"]


def run_demo(folder: Path, *, n_trials: int, seed: int, wandb: bool, wrong_labels: float = 0.0) -> pd.DataFrame:
    """Run the study, print its results, and return a row per trial."""
    console = Console()
    torch.set_num_threads(1)  # networks this small only wait for a second thread
    name = f"digits-seed-{seed}" + (f"-wrong-{wrong_labels:g}" if wrong_labels else "")
    networks, artifacts = folder / "networks" / name, folder / "artifacts"
    networks.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(exist_ok=True)
    training, test = load(wrong_labels)
    study, store = open_study(folder, name, seed), FileSystemArtifactStore(artifacts)
    remaining = n_trials - len(study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.FAIL)))
    console.print(
        f"Tuning a perceptron on {len(training.images)} images of digits by its weights and its answers: "
        f"{max(remaining, 0)} of {n_trials} trials of {EPOCHS} epochs, without validation or test data"
        + (f", {wrong_labels:.0%} of the labels wrong." if wrong_labels else "."),
        highlight=False,
    )
    tune(study, Trainer(training, networks, seed), store, open_trackers(folder, study, wandb=wandb), remaining)
    reason = select(study).reason
    chosen, trials = load_best(study, artifact_store=store), trials_table(study)
    print_trials(console, trials, chosen, str(reason), folder)
    trials["accuracy"] = [accuracy(networks / f"trial-{number}.pt", test) for number in trials["trial"]]
    print_accuracies(console, trials, chosen.trial.number)
    print_figures(console, trials, chosen, folder)
    print_mlflow(console, folder)
    return trials


def tune(
    study: optuna.Study, train: Trainer, store: FileSystemArtifactStore, trackers: list[Tracker], n_trials: int
) -> None:
    """Run ``n_trials`` trials, and deliver them to the trackers' backends."""
    with ExitStack() as stack:
        for tracker in trackers:
            stack.enter_context(tracker)
        objective = AlphaObjective(
            train,
            inputs=(train.data.images, train.data.classes),
            with_labels=True,
            n_steps=EPOCHS,
            trackers=trackers,
            artifact_store=store,
            keep="last",
        )
        if n_trials > 0:
            study.optimize(objective, n_trials=n_trials, show_progress_bar=sys.stderr.isatty())


def open_study(folder: Path, name: str, seed: int) -> optuna.Study:
    """Create the study, or load it and end as failed what an interruption left running."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    study = optuna.create_study(
        study_name=name,
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
    """Open trackers that store everything in the folder."""
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
