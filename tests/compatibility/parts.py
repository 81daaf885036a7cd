"""What `make_fixtures.py` writes with the old code and the test with the current, and how both are read back.

Public names of wwopt alone; what backends hold is read without wwopt.
"""

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages.journal import JournalFileBackend
from safetensors.numpy import load_file

import wwopt
from wwopt_objectives import AlphaObjective, AlphaPruner

BEFORE = Path(__file__).with_name("before")
TEXT = ("name", "layer_type", "status")
STUDY = "digits"
STATES = {"trial-0": "complete", "trial-1": "pruned"}
STEPS = 3


def numbers_of(analysis):
    """Numbers and words of an analysis as JSON has them; spectra by layer."""
    details = analysis.details
    columns = [*TEXT, *details.select_dtypes("number")]
    return {
        "columns": list(details),
        "details": {name: details[name].tolist() for name in columns},
        "summary": dict(analysis.summary),
        "spectra": {name: evals.tolist() for name, evals in analysis.spectra.items()},
        "skipped": analysis.skipped["name"].tolist(),
    }


def log(tracker, analysis):
    """A study with a complete and a pruned trial, each of two steps."""
    with tracker:
        for name, state in STATES.items():
            trial = tracker.child(name, params={"lr": 0.1, "width": 64}, tags={"study": STUDY, "number": name[-1]})
            for step in (0, 2):
                metrics = {"loss": 0.5 / (1 + step), "ww/score": wwopt.AlphaScore()(analysis)}
                trial.log(analysis, step=step, metrics=metrics)
            trial.finish(state, reason="" if state == "complete" else "it was pruned")


def train(trial):
    """A network of one layer after each of three steps, whose columns grow apart; with ``mix=1`` it is of rank one."""
    weights = load_file(BEFORE / "weights.safetensors")
    product = weights["block.0.fc.weight"].astype(np.float64) @ weights["block.1.fc.weight"].T
    mix = trial.suggest_float("mix", 0, 1)
    for step in range(STEPS):
        growth = 1 + step * np.linspace(0, 1, len(product))
        yield {"layer.weight": (1 - mix) * growth * product + mix}, mix + 1 / (1 + step)


def objective(folder):
    """The objective of the study, whose artifacts lie in a folder."""
    store = FileSystemArtifactStore(folder / "artifacts")
    return AlphaObjective(train, n_steps=STEPS, every=1, artifact_store=store), store


def study_in(folder):
    """The study of a folder, made or continued."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.log")))
    return optuna.create_study(
        study_name=STUDY, storage=storage, direction="minimize", pruner=AlphaPruner(), load_if_exists=True
    )


def run_study(folder):
    """Run the study with a complete, a pruned and another complete trial, and read it back."""
    study, (run, _) = study_in(folder), objective(folder)
    for mix in (0.0, 1.0, 0.05):
        study.enqueue_trial({"mix": mix})
    study.optimize(run, n_trials=3)
    return {
        "attributes": study.user_attrs,
        "trials": [attributes_of(trial) for trial in study.trials],
        "best": study.best_trial.number,
    }


def attributes_of(trial):
    """State, numbers and ``ww_`` attributes of a trial: of ids and sentences the names alone."""
    hidden = ("ww_artifacts", "ww_pruned_by")
    return {
        "state": trial.state.name,
        "params": trial.params,
        "value": trial.value,
        "reports": [[step, value] for step, value in trial.intermediate_values.items()],
        "constraints": dict(trial.constraints),
        "attributes": {key: None if key in hidden else value for key, value in sorted(trial.user_attrs.items())},
    }


def mlflow_names(uri):
    """Names of all that an MLflow store has of the runs of an experiment, by the name of the run."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string=f"name = '{STUDY}'")
    models = client.search_logged_models([experiment.experiment_id])
    return {
        run.info.run_name: {
            "status": run.info.status,
            "tags": sorted(run.data.tags),
            "metrics": sorted(run.data.metrics),
            "params": sorted(run.data.params),
            "artifacts": sorted(_artifacts(client, run.info.run_id)),
            "models": [
                [model.name, sorted(metric.key for metric in model.metrics)]
                for model in models
                if model.source_run_id == run.info.run_id
            ],
        }
        for run in client.search_runs([experiment.experiment_id])
    }


def _artifacts(client, run, folder=None):
    for file in client.list_artifacts(run, folder):
        if file.is_dir:
            yield from _artifacts(client, run, file.path)
        else:
            yield file.path


def wandb_names(folder):
    """Names of all that W&B's files have of the runs of a folder, by the name of the run; W&B's own are left out."""
    found = {}
    for file in folder.glob("wandb/offline-run-*/*.wandb"):
        records = {}
        for record in _records(file):
            kind = record.WhichOneof("record_type")
            records.setdefault(kind, []).append(getattr(record, kind))
        (run,) = records["run"]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        summary = [item for record in records["summary"] for item in record.update]
        found[run.display_name] = {
            "group": run.run_group,
            "job": run.job_type,
            "exit": records["exit"][0].exit_code,
            "config": sorted(config),
            "tags": sorted(config["wwopt"]),
            "history": _keys(item for record in records["history"] for item in record.item),
            "summary": _keys(summary),
            "artifacts": sorted(_entries(records["artifact"])),
        }
    return found


def _keys(items):
    keys = {item.key or item.nested_key[0] for item in items}
    return sorted(key for key in keys if not key.startswith("_"))


def _entries(artifacts):
    for artifact in artifacts:
        if artifact.type == "ww-analysis":
            yield [artifact.metadata, sorted(entry.path for entry in artifact.manifest.contents)]


def _records(file):
    """Records of a ``.wandb`` file: LevelDB's log format after seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, text = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        text += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield Record.FromString(text)
            text = b""


def files_in(folder):
    """Paths of the files of a folder, with their content and the time of their last change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def save_first_format(analysis, path):
    """Write an analysis as the first format had it: an array for each column."""
    tables = {"details": analysis.details, "skipped": analysis.skipped}
    arrays = {
        f"{table}/{name}": column.to_numpy(np.str_ if pd.api.types.is_string_dtype(column) else None)
        for table, frame in tables.items()
        for name, column in frame.items()
    }
    spectra = analysis.spectra
    arrays |= {
        "header": np.array(json.dumps({"format": 1, "settings": dict(analysis.settings)})),
        "spectra/names": np.array(list(spectra)),
        "spectra/lengths": np.array([len(evals) for evals in spectra.values()]),
        "spectra/values": np.concatenate(list(spectra.values())),
    }
    np.savez_compressed(path, **arrays)


def layout_of(path):
    """What a saved analysis says of itself, without the words in its tables, and the type of each array in it."""
    with np.load(path, allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        kinds = {name: str(arrays[name].dtype) for name in arrays.files}
    for table in header["tables"].values():
        table["words"] = list(table["words"])
    return header, kinds


def tables_of(path):
    """The tables of a journal, and the keys of the numbers in it."""
    with closing(sqlite3.connect(path)) as journal:
        tables = journal.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        return tables, journal.execute("SELECT keys FROM layouts ORDER BY id").fetchall()
