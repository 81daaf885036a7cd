"""MLflow: what its own client reads back, from a store in a file and from a server."""

import math
import subprocess
import sys
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow import MlflowClient

from tests.support.mlflow_study import log_study, runs_of, track
from wwopt import Analysis
from wwopt.tracking import Choice
from wwopt_trackers import MLflowTracker, sync, verify
from wwopt_trackers.delivery.sender import Sender

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def check_study(client, root, trials, analysis):
    assert all(run.data.tags["mlflow.parentRunId"] == root.info.run_id for run in trials)
    assert (root.info.status, root.info.run_name) == ("FINISHED", "digits")
    assert [run.info.status for run in trials] == ["FINISHED", "KILLED", "FAILED"]
    assert [run.data.tags.get("wwopt.reason") for run in trials] == [None, "it was pruned", "it was failed"]
    for run in trials:
        assert run.data.params == {"lr": "0.1"}
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
        assert run.data.metrics["ww/alpha"] == analysis.summary["alpha"]
        assert math.isnan(run.data.metrics["ww/layer_alpha/dead"])
        paths = [file.path for file in client.list_artifacts(run.info.run_id, "ww/step-000002")]
        assert paths == ["ww/step-000002/analysis.npz", "ww/step-000002/layers.csv"]


@pytest.mark.slow
def test_a_study_on_a_server(analysis, server):
    """A server on loopback gives back states, reasons, parameters, points, tables and spectra."""
    log_study(MLflowTracker(experiment="digits", uri=server.uri), analysis)
    client = MlflowClient(server.uri)
    (root,), trials = runs_of(server.uri, "digits")
    check_study(client, root, trials, analysis)
    loaded = Analysis.load(client.download_artifacts(trials[0].info.run_id, "ww/step-000002/analysis.npz"))
    assert loaded.details["alpha"].equals(analysis.details["alpha"])


@pytest.mark.slow
def test_a_journal_is_delivered_later(analysis, store):
    """A tracker that is offline leaves a journal; `sync` brings it to the store, and `verify` finds it whole."""
    log_study(track(store, pictures=3), analysis)
    assert [synced.state for synced in sync()] == ["delivered"]
    (root,), trials = runs_of(store, "digits")
    check_study(MlflowClient(store), root, trials, analysis)
    pictures = [
        file.path for file in MlflowClient(store).list_artifacts(trials[0].info.run_id, "ww") if not file.is_dir
    ]
    assert pictures == [
        "ww/alpha-by-layer.png",
        "ww/alpha-histogram.png",
        "ww/alphas-over-training.png",
        "ww/spectrum-1.png",
        "ww/spectrum-2.png",
    ]
    verified = verify()
    assert all(run.ok and not run.unwritten for run in verified)
    assert sum(run.points for run in verified) == 9 * len(trials[0].data.metrics)


def test_the_best_trial_is_named_and_promoted(analysis, store, tmp_path):
    """The study's page links to it; its final numbers are a model's, which goes to the registry with its weights."""
    with track(store) as tracker:
        for number, score in enumerate((2.0, 1.0, 0.5)):
            trial = tracker.child(f"trial-{number}", params={}, tags={})
            trial.log(analysis, step=4, metrics={"ww/score": score})
            trial.finish("complete" if number < 2 else "pruned")
    sync()
    (root,), trials = runs_of(store, "digits")
    assert root.data.tags["wwopt.best"] == "trial-1"
    assert trials[1].info.run_id in root.data.tags["mlflow.note.content"]
    (tmp_path / "weights.pt").write_text("weights")
    for _ in range(2):
        assert track(store).promote("trial-1", "digits-net", "champion", weights="weights.pt") == "1"
    client = MlflowClient(store)
    version = client.get_model_version_by_alias("digits-net", "champion")
    assert version.run_id == trials[1].info.run_id
    (model,) = client.search_logged_models([root.info.experiment_id], f"source_run_id = '{version.run_id}'")
    assert {metric.key: metric.value for metric in model.metrics}["ww/score"] == 1.0
    assert "weights.pt" in [file.path for file in client.list_logged_model_artifacts(model.model_id)]
    with pytest.raises(ValueError, match="`best` must be a run that is complete, but 'trial-2' is KILLED"):
        track(store).promote("trial-2", "digits-net", "champion")
    with pytest.raises(ValueError, match="0 are called 'trial-9'"):
        track(store).promote("trial-9", "digits-net", "champion")
    with pytest.raises(ValueError, match=r"`alias` must not be 'latest' or like 'v1'.* got 'v1'"):
        track(store).promote("trial-1", "digits-net", "v1")


def test_a_deleted_experiment(analysis, store):
    """The message says how to bring it back; then everything arrives."""
    client = MlflowClient(store)
    number = client.create_experiment("digits")
    client.delete_experiment(number)
    log_study(track(store), analysis)
    (synced,) = sync()
    assert synced.state == "pending"
    assert f"`mlflow experiments restore -x {number}`" in synced.message
    client.restore_experiment(number)
    assert [synced.state for synced in sync()] == ["delivered"]
    assert all(run.ok for run in verify())


def test_a_run_that_somebody_deleted(analysis, store):
    """The others arrive, and the message names the fault."""
    log_study(track(store), analysis)
    sync()
    client = MlflowClient(store)
    _, trials = runs_of(store, "digits")
    client.delete_run(trials[0].info.run_id)
    with track(store) as tracker:
        tracker.child("trial-3", params={}, tags={"study": "digits"}).log(analysis, step=0)
    assert [synced.state for synced in sync()] == ["delivered", "delivered"]


def test_an_old_folder_of_runs(analysis, tmp_path, monkeypatch):
    """MLflow refuses `./mlruns` and says why; nothing is lost, and once it is allowed everything arrives."""
    from mlflow.store.tracking.file_store import FileStore

    if not hasattr(mlflow.environment_variables, "MLFLOW_ALLOW_FILE_STORE"):
        pytest.skip("this MLflow still takes such folders")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    FileStore(str(tmp_path / "mlruns")).create_experiment("old")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    with MLflowTracker(experiment="digits", offline=True) as tracker:
        tracker.log(analysis, step=0)
    (synced,) = sync()
    assert synced.state == "pending"
    assert "MLFLOW_ALLOW_FILE_STORE" in synced.message
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert [(synced.state, synced.message) for synced in sync()] == [("delivered", "")]
    (run,) = verify()
    assert run.missing == run.duplicated == ()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, 5e-324])
def test_any_number(analysis, store, value):
    """What MLflow stores in another way is still found to be the same."""
    with track(store) as tracker:
        tracker.log(analysis, step=-1, metrics={"a//b [%]": value})
    sync()
    assert [run.ok for run in verify()] == [True]


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
    """Its numbers stand in that run beside the user's own, and it stays open and active."""
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("digits")
    try:
        with mlflow.start_run() as run:
            mlflow.log_metric("mine", 1.0)
            with MLflowTracker(offline=True) as tracker:
                tracker.log(analysis, step=7)
                tracker.child("trial-0", params={}, tags={}).finish("complete")
            sync()
            assert mlflow.active_run().info.run_id == run.info.run_id
            found = MlflowClient(store).get_run(run.info.run_id)
            assert found.info.status == "RUNNING"
            assert found.data.metrics["ww/alpha"] == analysis.summary["alpha"]
            assert found.data.metrics["mine"] == 1.0
        (root,), (trial,) = runs_of(store, "digits")
        assert (root.info.run_id, trial.info.status) == (run.info.run_id, "FINISHED")
    finally:
        mlflow.set_tracking_uri(None)


def test_beside_autolog(analysis, store):
    """A fit that MLflow logs by itself stays in the user's run, the tracker's trials in theirs."""
    from sklearn.linear_model import LogisticRegression

    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("digits")
    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        with track(store) as tracker:
            trial = tracker.child("trial-0", params={"lr": 1}, tags={"study": "digits"})
            LogisticRegression().fit([[0.0], [1.0]], [0, 1])
            trial.log(analysis, step=0)
            trial.finish("complete")
        sync()
        roots, (trial,) = runs_of(store, "digits")
        users = next(run for run in roots if "wwopt.run" not in run.data.tags)
        assert trial.data.params == {"lr": "1"}
        assert "solver" in users.data.params
        assert not any(key.startswith("ww/") for key in users.data.metrics)
    finally:
        mlflow.sklearn.autolog(disable=True)
        mlflow.set_tracking_uri(None)


def test_beside_mlflow_storage(analysis, store):
    """A study that MLflow itself stores, in the same experiment, finds its trials, and the tracker's are apart."""
    from mlflow.optuna.storage import MlflowStorage

    mlflow.set_tracking_uri(store)
    try:
        storage = MlflowStorage(mlflow.set_experiment("digits").experiment_id, batch_flush_interval=0.1)
        study = optuna.create_study(study_name="stored", storage=storage)
        with track(store) as tracker:

            def objective(trial):
                run = tracker.child(f"trial-{trial.number}", params=trial.params, tags={"study": "stored"})
                run.log(analysis, step=0)
                run.finish("complete")
                return trial.suggest_float("lr", 0, 1)

            study.optimize(objective, n_trials=2)
        storage.flush_all_batches()
        sync()
        resumed = optuna.load_study(study_name="stored", storage=storage)
        assert [trial.state.name for trial in resumed.trials] == ["COMPLETE"] * 2
        runs = MlflowClient(store).search_runs([storage._experiment_id], "tags.`wwopt.role` = 'trial'")
        assert sorted(run.info.run_name for run in runs) == ["trial-0", "trial-1"]
        assert MlflowClient(store).get_run(runs[0].data.tags["mlflow.parentRunId"]).info.run_name == "stored (wwopt)"
        assert all(run.ok for run in verify())
    finally:
        mlflow.set_tracking_uri(None)


def test_a_step_that_goes_back(store):
    """Steps arrive as they were logged, in any order and as often, though they be of one millisecond."""
    with track(store) as tracker:
        for step in (5, 2, 2, 2, 2):
            tracker.log(None, step=step, metrics={"loss": step})
    sync()
    ((root,), _) = runs_of(store, "digits")
    history = MlflowClient(store).get_metric_history(root.info.run_id, "loss")
    assert sorted(point.step for point in history) == [2, 2, 2, 2, 5]
    assert all(run.ok for run in verify())


def test_mlflow_is_not_installed():
    """The error names the command that mends it."""
    code = "import sys; sys.modules['mlflow'] = None; sys.modules['wandb'] = None\nimport wwopt_trackers as t\n"
    code += "for make in (lambda: t.MLflowTracker(experiment='a'), lambda: t.WandbTracker(project='a')):\n"
    code += "    try: make()\n    except ImportError as error: print(error)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "`pip install 'wwopt[mlflow]'`" in output
    assert "`pip install 'wwopt[wandb]'`" in output


@pytest.mark.parametrize("name", ['it\'s "quoted"', "ünï/çode", "x" * 300])
def test_any_name_of_a_study(store, name):
    """A study is found again whatever it is called."""
    for number in range(2):
        with track(store) as tracker:
            tracker.child(f"trial-{number}", params={}, tags={"study": name}).finish("complete")
    sync()
    roots, trials = runs_of(store, "digits")
    assert (len(roots), len(trials)) == (1, 2)


def test_a_run_that_somebody_else_ended(analysis, store):
    """What comes later still arrives, and the run ends as the training says."""
    with track(store) as tracker:
        trial = tracker.child("trial-0", params={}, tags={"study": "digits"})
        trial.log(analysis, step=0)
        sender = Sender(next(Path("wwopt-journal").glob("*.db")))
        assert sender.deliver()
        _, (run,) = runs_of(store, "digits")
        MlflowClient(store).set_terminated(run.info.run_id, "FAILED")
        trial.log(analysis, step=1)
        assert sender.deliver()
        sender.close()
        trial.finish("pruned", reason="alpha over 6")
    sync()
    _, (run,) = runs_of(store, "digits")
    assert (run.info.status, run.data.tags["wwopt.reason"]) == ("KILLED", "alpha over 6")
    assert all(each.ok for each in verify())


def test_names_of_any_length(analysis, store):
    """Parameters and metrics of 10,000 characters arrive, cut and told apart, beside a layer's strange name."""
    layers = analysis.details.assign(name=["block[0].fc@", "a" * 10_000, "a" * 10_000 + "b"])
    spectra = dict(zip(layers["name"], analysis.spectra.values(), strict=True))
    strange = Analysis(layers, spectra, analysis.skipped, analysis.settings)
    with track(store) as tracker:
        trial = tracker.child("trial-0", params={"p" * 10_000: "v" * 10_000}, tags={"study": "digits"})
        trial.log(strange, step=0)
        trial.finish("complete")
    assert [synced.state for synced in sync()] == ["delivered"]
    assert all(each.ok for each in verify())
    _, (run,) = runs_of(store, "digits")
    assert "ww/layer_alpha/block-5b0-5d.fc-40" in run.data.metrics
    assert len([key for key in run.data.metrics if key.startswith("ww/layer_alpha/aaa")]) == 2


def chosen(number, trials, study="digits", best=5):
    """A choice among so many trials."""
    numbers = {"agreement": 0.9, "score": 0.5}
    return Choice(study, "10:00", f"trial-{number}", f"trial-{best}", "They agree.", "inputs", trials, numbers)


def test_the_study_shows_the_last_choice(analysis, store):
    """The parent run has the last choice of several workers, whichever is delivered last, and its reason."""
    late, early = (track(store, run_name="digits") for _ in range(2))
    with late, early:
        for tracker, numbers in ((late, (1, 2)), (early, (3,))):
            for number in numbers:
                trial = tracker.child(f"trial-{number}", params={}, tags={})
                trial.log(analysis, step=0, metrics={"ww/score": number})
                trial.finish("complete")
        early.choose(chosen(3, trials=1))
        late.choose(chosen(1, trials=2))
        late.choose(chosen(2, trials=3, best=1))
        late.choose(chosen(1, trials=2))
    sync()
    (root,), trials = runs_of(store, "digits")
    tags = root.data.tags
    assert (tags["wwopt.chosen"], tags["wwopt.best"], tags["wwopt.chosen.trials"]) == ("trial-2", "trial-1", "3")
    assert (tags["wwopt.chosen.reason"], tags["wwopt.chosen.agreement"]) == ("They agree.", "0.9")
    ids = {run.info.run_name: run.info.run_id for run in trials}
    note = tags["mlflow.note.content"]
    assert (
        note.index(ids["trial-2"]) < note.index("They agree.") < note.index("Best value") < note.index(ids["trial-1"])
    )


def test_a_study_of_the_same_name_begins_anew(store):
    """A choice of many trials does not hide the first ones of another study; a user's description stays."""
    with track(store, run_name="digits") as tracker:
        tracker.choose(chosen(9, trials=40))
        tracker.choose(chosen(0, trials=1, study="another"))
    sync()
    (root,), _ = runs_of(store, "digits")
    assert root.data.tags["wwopt.chosen"] == "trial-0"
    MlflowClient(store).set_tag(root.info.run_id, "mlflow.note.content", "Mine.")
    with track(store, run_name="digits") as tracker:
        tracker.choose(chosen(1, trials=2, study="another"))
    sync()
    (root,), _ = runs_of(store, "digits")
    assert (root.data.tags["wwopt.chosen"], root.data.tags["mlflow.note.content"]) == ("trial-1", "Mine.")
