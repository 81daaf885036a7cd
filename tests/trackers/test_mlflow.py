"""MLflow: what its own client reads back, from a store in a file and from a server."""

import json
import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from wwopt import Analysis
from wwopt_trackers import MLflowTracker, sync, verify

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def runs_of(store, experiment):
    """Root run and its trials."""
    client = MlflowClient(store)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], order_by=["start_time"])
    roots = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in found if run.data.tags.get("mlflow.parentRunId") == roots[0].info.run_id]
    return roots, sorted(trials, key=lambda run: run.info.run_name)


def track(store, **options):
    """A tracker whose journal `sync` delivers: no process of its own to start for each test."""
    return MLflowTracker(experiment="digits", uri=store, offline=True, **options)


def log_study(tracker, analysis, names=("trial-0", "trial-1", "trial-2")):
    with tracker:
        for name, state in zip(names, ("complete", "pruned", "failed"), strict=False):
            trial = tracker.child(name, params={"lr": 0.1}, tags={"study": "digits", "number": name[-1]})
            for step in range(3):
                trial.log(analysis, step=step, metrics={"loss": 1.0 / (1 + step)})
            trial.finish(state, reason="" if state == "complete" else f"it was {state}")


def check_study(client, root, trials, analysis):
    assert (root.info.status, root.info.run_name) == ("FINISHED", "digits")
    assert [run.info.status for run in trials] == ["FINISHED", "KILLED", "FAILED"]
    assert [run.data.tags.get("wwopt.reason") for run in trials] == [None, "it was pruned", "it was failed"]
    for run in trials:
        assert run.data.params == {"lr": "0.1"}
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
        assert run.data.metrics["ww/alpha"] == analysis.summary["alpha"]
        assert math.isnan(run.data.metrics["ww/alpha/dead"])
        paths = [file.path for file in client.list_artifacts(run.info.run_id, "ww/step-000002")]
        assert paths == ["ww/step-000002/analysis.npz", "ww/step-000002/layers.csv"]


def test_a_study_on_a_server(analysis, server):
    """A server on loopback gives back states, reasons, parameters, points, tables and spectra."""
    log_study(MLflowTracker(experiment="digits", uri=server), analysis)
    client = MlflowClient(server)
    (root,), trials = runs_of(server, "digits")
    check_study(client, root, trials, analysis)
    loaded = Analysis.load(client.download_artifacts(trials[0].info.run_id, "ww/step-000002/analysis.npz"))
    assert loaded.details["alpha"].equals(analysis.details["alpha"])


def test_a_journal_is_delivered_later(analysis, store):
    """A tracker that is offline leaves a journal; `sync` brings it to the store, and `verify` finds it whole."""
    log_study(track(store), analysis)
    assert [synced.state for synced in sync()] == ["delivered"]
    (root,), trials = runs_of(store, "digits")
    check_study(MlflowClient(store), root, trials, analysis)
    verified = verify()
    assert all(run.ok and not run.unwritten for run in verified)
    assert sum(run.points for run in verified) == 9 * len(trials[0].data.metrics)


def test_a_second_sync_doubles_nothing(analysis, store):
    """Also when the ledger that says what was delivered is lost, since each point has its own time stamp."""
    log_study(track(store), analysis)
    for _ in range(2):
        sync()
        for ledger in Path("wwopt-journal").glob("*.sent*"):
            ledger.unlink()
    sync()
    assert all(run.ok for run in verify())


def test_verify_names_what_is_missing(analysis, store):
    """A point that is gone from the store is named with its run, key, step and value."""
    log_study(track(store), analysis, names=("trial-0",))
    sync()
    connection = sqlite3.connect(store.removeprefix("sqlite:///"))
    connection.execute("DELETE FROM metrics WHERE key = 'loss' AND step = 1")
    connection.commit()
    connection.close()
    (lacking,) = [run for run in verify() if not run.ok]
    ((key, step, _, value),) = lacking.missing
    assert (lacking.run, key, step, value) == ("trial-0", "loss", 1, 0.5)


def test_a_resumed_study_has_one_parent(analysis, store):
    """The second session's trials join the run of the first."""
    log_study(track(store), analysis)
    log_study(track(store), analysis, names=("trial-3",))
    sync()
    (root,), trials = runs_of(store, "digits")
    assert [run.info.run_name for run in trials] == ["trial-0", "trial-1", "trial-2", "trial-3"]
    assert root.info.status == "FINISHED"


def test_a_run_name_is_continued_and_none_is_fresh(analysis, store):
    """Direct logging resumes a run by its name; without a name each tracker has a run of its own."""
    for name in ("mine", "mine", None, None):
        with track(store, run_name=name) as tracker:
            tracker.log(analysis, step=0)
    sync()
    roots, _ = runs_of(store, "digits")
    assert sorted(run.info.run_name for run in roots) == ["digits", "digits", "mine"]


def test_a_run_that_the_user_has_open_is_joined(analysis, store):
    """Its numbers stand in that run, which stays open and active."""
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("digits")
    try:
        with mlflow.start_run() as run:
            with MLflowTracker(experiment="digits") as tracker:
                tracker.log(analysis, step=7)
                tracker.child("trial-0", params={}, tags={}).finish("complete")
            assert mlflow.active_run().info.run_id == run.info.run_id
            found = MlflowClient(store).get_run(run.info.run_id)
            assert found.info.status == "RUNNING"
            assert found.data.metrics["ww/alpha"] == analysis.summary["alpha"]
        (root,), (trial,) = runs_of(store, "digits")
        assert (root.info.run_id, trial.info.status) == (run.info.run_id, "FINISHED")
    finally:
        mlflow.set_tracking_uri(None)


def test_a_server_that_is_away(analysis, caplog, tmp_path):
    """Training is not slowed, one warning says what happened, another where the numbers are."""
    start = time.monotonic()
    with MLflowTracker(experiment="digits", uri="http://127.0.0.1:9") as tracker:
        tracker.child("trial-0", params={}, tags={}).log(analysis, step=0)
        logged = time.monotonic() - start
    assert logged < 1
    assert time.monotonic() - start < 20
    first, second = [record.getMessage() for record in caplog.records if record.name == "wwopt"]
    assert "Training goes on" in first
    assert f"wwopt sync {tmp_path / 'wwopt-journal'}" in second


def test_mlflow_is_not_installed():
    """The error names the command that mends it."""
    code = "import sys; sys.modules['mlflow'] = None; sys.modules['wandb'] = None\nimport wwopt_trackers as t\n"
    code += "for make in (lambda: t.MLflowTracker(experiment='a'), lambda: t.WandbTracker(project='a')):\n"
    code += "    try: make()\n    except ImportError as error: print(error)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "`pip install 'wwopt[mlflow]'`" in output
    assert "`pip install 'wwopt[wandb]'`" in output


def test_the_import_is_light():
    """Neither backend is loaded before a tracker is at work."""
    code = "import sys, wwopt_trackers, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"mlflow", "wandb", "torch", "matplotlib", "optuna"} & set(loaded)


@pytest.mark.parametrize("name", ['it\'s "quoted"', "ünï/çode", "x" * 300])
def test_any_name_of_a_study(store, name):
    """A study is found again whatever it is called."""
    for number in range(2):
        with track(store) as tracker:
            tracker.child(f"trial-{number}", params={}, tags={"study": name}).finish("complete")
    sync()
    roots, trials = runs_of(store, "digits")
    assert (len(roots), len(trials)) == (1, 2)
