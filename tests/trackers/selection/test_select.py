"""Choosing among past runs: the same winner from a journal, from MLflow and from W&B's files."""

import json
import shutil

import numpy as np
import pytest

import wwopt
from tests.support.waiting import DEADLINE, delivered
from wwopt.cli import run
from wwopt.tracking import Choice
from wwopt_trackers import LocalTracker, MLflowTracker, WandbTracker, select, sync
from wwopt_trackers.selection.select import StudyChoice

WIDTH = {"trial-0": 8.0, "trial-1": 3.0, "trial-2": 2.5}  # degrees of freedom: fewer are heavier tails
ENDS = ("complete", "complete", "pruned")


def network(freedom, seed=0):
    random = np.random.default_rng(seed)
    return wwopt.analyze({f"block.{i}.fc.weight": random.standard_t(freedom, size=(128, 64)) for i in range(2)})


def log(tracker, study="digits"):
    """A study whose trials get worse with each step, so that the last network is what counts."""
    with tracker:
        for (name, freedom), state in zip(WIDTH.items(), ENDS, strict=True):
            trial = tracker.child(name, params={"freedom": freedom}, tags={"study": study})
            for step in (2, 10, 9):
                trial.log(network(freedom + step), step=step, metrics={"loss": freedom})
            trial.finish(state)
        tracker.choose(Choice(study, "10:00", "trial-1", "trial-0", "They agree.", "inputs", 3))
        tracker.finish("complete", timeout=DEADLINE)


@pytest.fixture(scope="module")
def logged(tmp_path_factory, migrated):
    """One study in three places, and the score of each trial's last network."""
    folder = tmp_path_factory.mktemp("logged")
    (folder / "mlflow.db").write_bytes(migrated)
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "NETRC": "/dev/null"}.items():
            patch.setenv(name, value)
        log(LocalTracker("log"))
        log(
            MLflowTracker(experiment="digits", uri=store, journal="mlflow-journal", offline=True, pictures=0),
        )
        sync("mlflow-journal")
        log(WandbTracker(project="digits", mode="offline", journal="wandb-journal", pictures=0))
        delivered("wandb-journal")  # and its sender has ended
        shutil.rmtree("wandb-journal")  # W&B's folder stands alone
    scores = {name: wwopt.AlphaScore()(network(freedom + 10)) for name, freedom in WIDTH.items()}
    return (
        folder,
        {
            "journal": {"journal": folder / "log"},
            "mlflow": {"mlflow": "digits", "uri": store},
            "wandb": {"wandb": folder / "wandb"},
        },
        scores,
    )


@pytest.mark.parametrize("place", ["journal", "mlflow", "wandb"])
def test_the_best_run_wins(logged, place):
    """Runs are ranked by their last spectra; one that was pruned is left out with its reason, and can be let in."""
    _, places, scores = logged
    selection = select(**places[place])
    assert selection.best.name == min(list(scores)[:2], key=scores.get)
    assert dict(zip(selection.table["name"], selection.table["score"], strict=True)) == {
        name: pytest.approx(scores[name], rel=1e-12) for name in list(scores)[:2]
    }
    assert selection.table["score"].is_monotonic_increasing
    assert selection.table["step"].eq(10).all()
    assert selection.left_out[["name", "reason"]].to_numpy().tolist() == [["trial-2", "it is pruned"]]
    assert selection.table[selection.terms].sum(axis=1).to_numpy() == pytest.approx(selection.table["score"])
    best = selection.best
    assert (best.study, float(best.params["freedom"]), best.metrics["loss"]) == ("digits", *[WIDTH[best.name]] * 2)
    assert len(best.read().spectra) == 2
    assert selection.choices == (StudyChoice("digits", "trial-1", "trial-0", "They agree."),)
    everyone = select(**places[place], states=("complete", "pruned"), refit=True)
    assert sorted(everyone.table["name"]) == sorted(WIDTH)
    assert everyone.best.name == min(scores, key=scores.get)


def test_spectra_that_are_gone(logged, tmp_path):
    """A run whose file was deleted or damaged is left out by name; when none is left, the error says why."""
    folder, _, _ = logged
    shutil.copytree(folder / "log", tmp_path / "log")
    for file in tmp_path.glob("log/*/*/*/analysis.npz"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"No run of log can be ranked: .*not a saved analysis"):
        select(journal="log")


def test_a_study_among_others(analysis):
    """`study` narrows the choice, and networks of other layers bring a warning."""
    log(LocalTracker("log"))
    with LocalTracker("log") as tracker:
        trial = tracker.child("trial-0", params={}, tags={"study": "other"})
        trial.log(analysis, step=0)
        trial.finish("complete")
    assert select(journal="log", study="other").table["study"].tolist() == ["other"]
    assert select(journal="log", study="digits").warnings == ()
    (warning,) = select(journal="log").warnings
    assert "differ in their layers" in warning


def test_a_collapsed_network_is_not_chosen():
    """Whatever the score says of it, a run with a broken network comes behind all others."""
    left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=(64, 64)))
    with LocalTracker("log") as tracker:
        for name, decay in {"sound": 0.4, "collapsed": 3.0}.items():
            trial = tracker.child(name, params={}, tags={"study": "digits"})
            trial.log(wwopt.analyze({"fc.weight": left * (1.0 + np.arange(64)) ** -decay @ right}), step=0)
            trial.finish("complete")
    with pytest.warns(UserWarning, match="smallest mean alpha"):
        score = wwopt.AlphaScore.mean_alpha()
    chosen = select(journal="log", score=score)
    assert chosen.table["name"].tolist() == ["sound", "collapsed"]
    assert not chosen.table["score"].is_monotonic_increasing
    assert chosen.usable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give one of `journal`, `mlflow` and `wandb`, got none"),
        ({"journal": "a", "wandb": "b"}, "got journal and wandb"),
        ({"journal": "a", "uri": "b"}, "`uri` is MLflow's"),
        ({"journal": "a", "states": ["done"]}, "`states` must be among complete, .*, got 'done'"),
    ],
)
def test_bad_arguments(arguments, message):
    """The error names the argument."""
    with pytest.raises(ValueError, match=message):
        select(**arguments)


def test_the_command_line(logged, capsys, monkeypatch):
    """A table for people, JSON for programs, one line for what is not there."""
    folder, _, scores = logged
    monkeypatch.chdir(folder)
    best = min(list(scores)[:2], key=scores.get)
    assert run(["select", "--wandb", "wandb"]) == 0
    out = capsys.readouterr().out
    assert f"Best: {best}" in out
    assert "left out: 1 because it is pruned" in out
    assert "Chosen by the study digits: trial-1. They agree." in out
    assert run(["select", "--journal", "log", "--unfinished", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["best"]["name"] == min(scores, key=scores.get)
    assert [choice["chosen"] for choice in answer["chosen"]] == ["trial-1"]
    assert [row["score"] for row in answer["runs"]] == pytest.approx(sorted(scores.values()))
    assert run(["select", "--journal", "log", "--estimator", "hill", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["alpha"] != pytest.approx(answer["runs"][0]["alpha"], 1e-6)
    for arguments, message in [
        (["select", "--journal", "log", "--estimator", "best"], "'best' is not one of"),
        (["select", "--mlflow", "nope", "--uri", f"sqlite:///{folder}/mlflow.db"], "There is no experiment 'nope'"),
        (
            ["select", "--mlflow", "digits", "--uri", "http://127.0.0.1:9"],
            "at http://127.0.0.1:9 does not answer",
        ),
        (["select", "--wandb", "nowhere"], "There is no folder nowhere"),
        (["select"], "got none"),
        (["sync", "nowhere"], "There is no journal nowhere"),
    ]:
        assert run(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
