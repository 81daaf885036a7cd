"""`wwopt demo`: trials, figures, MLflow runs, and a second start after an interruption."""

import mlflow
import optuna
import pytest
from optuna.trial import TrialState

from wwopt.cli import run
from wwopt_objectives import select

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder of a demo of six trials."""
    folder = tmp_path_factory.mktemp("demo") / "wwopt-demo"
    assert run(["demo", "--trials", "6", "--folder", str(folder), "--seed", "3"]) == 0
    return folder


@pytest.fixture
def study(demo):
    """Its study."""
    return optuna.load_study(study_name="digits-seed-3", storage=f"sqlite:///{demo / 'study.db'}")


def test_every_trial_is_finished_and_scored(study):
    """All trials are there, complete or pruned, with the score's terms."""
    assert len(study.trials) == 6
    for trial in study.trials:
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert trial.user_attrs["ww_score"]["terms"]


def test_the_pictures_are_pictures(demo):
    """Three PNG files of some size."""
    pictures = sorted((demo / "pictures").glob("*.png"))
    assert [path.name for path in pictures] == ["alphas.png", "score-against-accuracy.png", "spectrum.png"]
    assert "<!DOCTYPE html>" in (demo / "report.html").read_text(encoding="utf-8")
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path in pictures)


def test_mlflow_has_the_study_and_its_trials(demo, study):
    """The study is a run, the trials are nested in it, each with its true state and its curve."""
    client = mlflow.MlflowClient(f"sqlite:///{demo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("wwopt-demo")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = runs["digits-seed-3"].info.run_id
    states = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}
    for trial in study.trials:
        run_ = runs[f"trial-{trial.number}"]
        assert run_.data.tags["mlflow.parentRunId"] == parent
        assert run_.info.status == states[trial.state]
        assert run_.data.metrics["ww/score"] == pytest.approx(trial.user_attrs["ww_score"]["score"])
    assert runs["digits-seed-3"].data.tags["wwopt.chosen"] == f"trial-{select(study).number}"
    assert experiment.artifact_location.startswith("file:")
    assert "wwopt-demo" in experiment.artifact_location


def test_it_goes_on_where_it_stopped(demo, study, capsys):
    """Started again with more trials it adds the missing ones; a trial left running is ended as failed."""
    study.ask()
    assert run(["demo", "--trials", "8", "--folder", str(demo), "--seed", "3"]) == 0
    out = " ".join(capsys.readouterr().out.split())  # lines are wrapped
    assert "1 of 8 trials" in out
    assert "Test accuracy, which the study has never seen" in out
    assert all(rule in out for rule in ("chosen: `select`", "best: the lowest score", "smallest mean alpha"))
    assert f"Trial {select(study).number} is chosen by the vote on the inputs and the training loss" in out
    states = [trial.state for trial in study.get_trials()]
    assert len(states) == 8
    assert states.count(TrialState.FAIL) == 1
    assert run(["demo", "--trials", "8", "--folder", str(demo), "--seed", "3"]) == 0
    assert len(study.get_trials()) == 8
