"""A small study with a fixed seed, and all that it leaves behind."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.artifacts import FileSystemArtifactStore

import wwopt_objectives
import wwopt_trackers
from benchmarks.regression.exact import analysis, exact, table
from benchmarks.regression.networks import perceptron, train

__all__ = ["run_study", "study_numbers"]

STEPS = 6
RANDOM = ("ww_artifacts", "ww_artifact_folder")  # ids that Optuna draws, and a folder of this machine
SENTENCE = "ww_pruned_by"


def run_study(n_trials: int, folder: Path | None = None, *, with_loss: bool = False) -> optuna.Study:
    """Tune a perceptron; weights and journal go to the folder, or nowhere."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = ["minimize"] * (2 if with_loss else 1)
    study = optuna.create_study(
        study_name="digits",
        directions=directions,
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=wwopt_objectives.AlphaPruner(),
    )
    trackers = [] if folder is None else [wwopt_trackers.LocalTracker(folder / "journal")]
    if folder is not None:
        (folder / "weights").mkdir()
    objective = wwopt_objectives.AlphaObjective(
        _train,
        n_steps=STEPS,
        trackers=trackers,
        artifact_store=False if folder is None else FileSystemArtifactStore(folder / "weights"),
        with_loss=with_loss,
    )
    study.optimize(objective, n_trials=n_trials, n_jobs=1)
    for tracker in trackers:
        tracker.finish("complete")
    return study


def study_numbers(n_trials: int, *, with_loss: bool = False) -> dict[str, Any]:
    """Trials, the choices made among them, and what the journal says of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = run_study(n_trials, folder, with_loss=with_loss)
        store = FileSystemArtifactStore(folder / "weights")
        best = wwopt_objectives.load_best(study, artifact_store=store)
        logged = wwopt_trackers.select(journal=folder / "journal", states=("complete", "pruned"))
        return {
            "study": _attributes(study.user_attrs),
            "trials": [_trial(trial) for trial in study.trials],
            "select": wwopt_objectives.select(study).number,
            "best": [best.trial.number, exact({key: value.numpy() for key, value in best.state_dict.items()})],
            "best analysis": analysis(best.analysis),
            "logged": [logged.metric, logged.best.name, table(logged.table, index=False), exact(logged.best.metrics)],
            "journal": _journal(folder / "journal"),
        }


def _train(trial: optuna.Trial) -> Iterator[tuple[torch.nn.Module, float]]:
    torch.manual_seed(trial.number)
    model = perceptron(trial.suggest_int("width", 64, 96))
    return train(model, lr=trial.suggest_float("lr", 1e-3, 10, log=True), epochs=STEPS, seed=trial.number)


def _trial(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "values": exact(trial.values),
        "params": exact(trial.params),
        "reports": exact(trial.intermediate_values),
        "constraints": exact(trial.constraints),
        "attributes": _attributes(trial.user_attrs),
    }


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    hidden = {key: "there" for key in (*RANDOM, SENTENCE) if key in found}
    return {key: exact(value) for key, value in found.items() if key not in hidden} | hidden


def _journal(folder: Path) -> dict[str, Any]:
    """Tables of the file and the keys of its numbers: what an older journal has to be read by."""
    (file,) = folder.glob("*.db")
    with closing(sqlite3.connect(file)) as database:
        runs = database.execute("SELECT name, params, tags, state FROM runs ORDER BY rowid").fetchall()
        return {
            "schema": [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master ORDER BY name") if sql],
            "layouts": [keys for (keys,) in database.execute("SELECT keys FROM layouts ORDER BY id")],
            "runs": [list(row) for row in runs],
            "beside it": sorted({path.suffix or path.name for path in folder.rglob("*") if path.is_file()}),
        }
