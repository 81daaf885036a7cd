"""The folders for OptunaHub: they load as its registry would load them, and work."""

from pathlib import Path

import optuna
import pytest
import torch

import optunahub
from wwopt_objectives import AlphaObjective
from wwopt_trackers.journal.journal import Journal

ROOT = Path(__file__).parents[2] / "optunahub" / "package"


def load(package):
    return optunahub.load_local_module(package=package, registry_root=str(ROOT))


@pytest.mark.parametrize(
    ("package", "tag"), [("pruners/wwopt_alpha", "pruner"), ("callbacks/wwopt_mlflow", "callback")]
)
def test_the_folder_is_complete(package, tag):
    """Front matter with the fields that the registry asks for, MIT license, requirements, and the names it promises."""
    page = (ROOT / package / "README.md").read_text(encoding="utf-8")
    front = dict(line.split(": ", 1) for line in page.split("---")[1].strip().splitlines())
    assert set(front) == {"author", "title", "description", "tags", "optuna_versions", "license"}
    assert tag in front["tags"]
    assert optuna.__version__.split(".")[0] == front["optuna_versions"].strip("[]").split(".")[0]
    assert "MIT License" in (ROOT / package / "LICENSE").read_text(encoding="utf-8")
    assert (ROOT / package / "requirements.txt").read_text(encoding="utf-8").startswith("wwopt[")
    for name in page.partition("## Class or Function Names")[2].partition("##")[0].split("- ")[1:]:
        assert hasattr(load(package), name.strip())


def test_the_pruner_prunes():
    """A collapsed network is stopped at its first evaluation."""

    def train(trial):
        model = torch.nn.Linear(80, 60)
        torch.nn.init.ones_(model.weight)
        for _ in range(3):
            yield model

    study = optuna.create_study(pruner=load("pruners/wwopt_alpha").AlphaPruner())
    study.optimize(AlphaObjective(train, n_steps=3, artifact_store=False), n_trials=1)
    assert study.trials[0].state.name == "PRUNED"


def test_the_callback_tracks(tmp_path):
    """Each trial is in the journal, with its value."""
    callback = load("callbacks/wwopt_mlflow").MLflowCallback("parabola", uri="sqlite:///mlflow.db", offline=True)
    study = optuna.create_study()
    with callback:
        study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=2, callbacks=[callback])
    (path,) = tmp_path.glob("wwopt-journal/*.db")
    journal = Journal(path)
    values = [journal.entries(run.id)[0].metrics["value"] for run in journal.runs()[1:]]
    journal.close()
    assert values == [trial.value for trial in study.trials]
