"""Files that version 0.1.0 wrote are read as it read them, and what is written now is written as it wrote it."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
from safetensors.numpy import load_file

import wwopt
from tests.support.waiting import delivered
from wwopt.engine import cache
from wwopt.metrics import invariant
from wwopt_objectives import load_best, select
from wwopt_trackers import LocalTracker, MLflowTracker, WandbTracker, sync, verify
from wwopt_trackers import select as select_run

spec = importlib.util.spec_from_file_location("parts", Path(__file__).with_name("parts.py"))
parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parts)

BEFORE = parts.BEFORE
STORE = "sqlite:///mlflow.db"
MACHINE = {"mlflow.user", "mlflow.source.git.commit", "user", "source.git.commit"}  # known here, unknown elsewhere

ADDED = {*invariant.__all__, "invariant", "unlearned", "score"}  # whose version is another
SCORE = wwopt.AlphaScore(unlearned=0.0)  # the one of before, for analyses without the new numbers

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder of the test's own, no account, and nobody told of it."""
    monkeypatch.chdir(tmp_path)
    quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "NETRC": os.devnull}
    for name, value in {**quiet, "MLFLOW_DISABLE_TELEMETRY": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return tmp_path


@pytest.fixture(scope="module")
def expected():
    """What version 0.1.0 said of its files."""
    return json.loads((BEFORE / "expected.json").read_text())


@pytest.fixture(scope="module")
def analysis():
    """The old weights, analysed now, without the numbers that are new."""
    return wwopt.analyze(BEFORE / "weights.safetensors", invariant=False)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """An MLflow store whose tables stand: creating them takes MLflow five seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def journals(tmp_path):
    """A copy of the old journals."""
    return Path(shutil.copytree(BEFORE / "journals", tmp_path / "journals"))


def same(left, right, *, rel=1e-7, absolute=1e-12, path=""):
    """Compare what JSON can hold: words exactly, numbers within what another processor's arithmetic may change.

    The numbers of a list, as the eigenvalues of a layer, are rounded against the largest of them.
    """
    if isinstance(right, dict):
        assert list(left) == list(right), path
        for key in right:
            same(left[key], right[key], rel=rel, path=f"{path}/{key}")
    elif isinstance(right, (list, tuple)):
        assert len(left) == len(right), path
        sizes = [abs(each) for each in right if isinstance(each, float) and np.isfinite(each)]
        absolute = max([absolute, *(np.finfo(float).eps * size for size in sizes)])
        for place, pair in enumerate(zip(left, right, strict=True)):
            same(*pair, rel=rel, absolute=absolute, path=f"{path}/{place}")
    elif isinstance(right, float):
        assert left == pytest.approx(right, rel=rel, abs=absolute, nan_ok=True), path
    else:
        assert left == right, path


def as_before(content):
    """What 0.1.0 knew of: without the columns, the option and the term of scores that were added since."""
    if isinstance(content, dict):
        return {name: as_before(value) for name, value in content.items() if name not in ADDED}
    if isinstance(content, (list, tuple)):
        return type(content)(as_before(value) for value in content if not (isinstance(value, str) and value in ADDED))
    return content


@pytest.mark.parametrize("name", ["analysis.npz", "analysis-format-1.npz"])
def test_a_saved_analysis_is_read(expected, name):
    """Every number of a file in the second and in the first format comes back exactly, with the same score."""
    loaded = wwopt.Analysis.load(BEFORE / name)
    same(as_before(parts.numbers_of(loaded)), expected["analysis"], rel=1e-14)
    assert SCORE(loaded) == pytest.approx(expected["score"], rel=1e-14)


def test_the_same_weights_give_the_same_numbers(analysis, expected):
    """Columns, their order, statuses, numbers and spectra are those of before."""
    same(as_before(parts.numbers_of(analysis)), expected["analysis"])
    assert SCORE(analysis) == pytest.approx(expected["score"], rel=1e-7)


def test_an_analysis_is_saved_in_the_same_format(analysis, tmp_path):
    """Format number, settings, arrays and their types are those of before."""
    analysis.save(tmp_path / "analysis.npz")
    assert as_before(parts.layout_of(tmp_path / "analysis.npz")) == parts.layout_of(BEFORE / "analysis.npz")


def test_an_old_cache_is_neither_read_nor_lost(tmp_path):
    """What is kept now lies beside what earlier numerics gave, as in an empty cache, and only that is found again."""
    shutil.copytree(BEFORE / "cache", tmp_path / "cache")
    before = parts.files_in(tmp_path / "cache")
    first = wwopt.analyze(BEFORE / "weights.safetensors", cache=tmp_path / "cache")
    filled = parts.files_in(tmp_path / "cache")
    wwopt.analyze(BEFORE / "weights.safetensors", cache=tmp_path / "empty")
    added = parts.files_in(tmp_path / "empty").keys()
    assert len(added) == len(before) == 3
    assert filled.keys() - before.keys() == added
    assert before.items() <= filled.items()
    again = wwopt.analyze(BEFORE / "weights.safetensors", cache=tmp_path / "cache")
    assert parts.files_in(tmp_path / "cache") == filled
    same(parts.numbers_of(again), parts.numbers_of(first), rel=0)


def test_a_cache_of_the_same_numerics_is_hit(expected, tmp_path, monkeypatch):
    """Nothing but the version of the numerics parts old keys from new ones, and the old files can still be read."""
    monkeypatch.setattr(cache, "NUMERICS", 2)
    shutil.copytree(BEFORE / "cache", tmp_path / "cache")
    before = parts.files_in(tmp_path / "cache")
    found = wwopt.analyze(BEFORE / "weights.safetensors", cache=tmp_path / "cache")
    assert parts.files_in(tmp_path / "cache") == before
    same(as_before(parts.numbers_of(found)), expected["analysis"], rel=1e-14)


def words_of(content):
    """What is kept, under the same names, with a mark for each number."""
    if isinstance(content, dict):
        return {name: words_of(value) for name, value in as_before(content).items()}
    if isinstance(content, list):
        return [words_of(value) for value in content]
    return "a number" if isinstance(content, (int, float)) else content


def test_an_old_study_is_read_and_not_resumed(expected, tmp_path):
    """Attributes are those of before, the winner's weights are found; another version of the score is refused."""
    shutil.copytree(BEFORE / "study", tmp_path / "study")
    study, (objective, store) = parts.study_in(tmp_path / "study"), parts.objective(tmp_path / "study")
    assert study.user_attrs == expected["study"]["attributes"]
    same([parts.attributes_of(trial) for trial in study.trials], expected["study"]["trials"], rel=1e-14)
    best = load_best(study, trial=study.best_trial, artifact_store=store)
    assert best.trial.number == expected["study"]["best"]
    losses = {trial.number: trial.user_attrs["train_loss"] for trial in study.trials if trial.state.name == "COMPLETE"}
    assert select(study).number == min(losses, key=losses.get)
    assert select(study).reason.rung == "weights and loss"
    assert load_best(study, artifact_store=store).trial == select(study)
    again = wwopt.analyze(best.state_dict)
    same(as_before(parts.numbers_of(best.analysis)), as_before(parts.numbers_of(again)))
    assert best.trial.value == pytest.approx(SCORE(best.analysis), rel=1e-7)
    with pytest.raises(ValueError, match="was begun with the score"):
        study.optimize(objective, n_trials=1)


def test_the_same_study_is_the_same(expected, tmp_path):
    """A study run now leaves what it left before but for its numbers, which are of another version of the score."""
    (tmp_path / "artifacts").mkdir()
    study = parts.run_study(tmp_path)
    assert study["attributes"]["ww_score"].pop("analyze_options")["min_evals"] == 50
    same(words_of(study), words_of(expected["study"]))


def test_old_artifacts_are_the_networks_they_were(tmp_path):
    """The files of the artifact store are weights that safetensors reads and analyses that wwopt reads."""
    study = parts.study_in(Path(shutil.copytree(BEFORE / "study", tmp_path / "study")))
    for trial in (study.trials[0], study.trials[2]):
        ids = trial.user_attrs["ww_artifacts"]
        (weights,) = load_file(BEFORE / "study" / "artifacts" / ids["weights"]).values()
        assert np.isfinite(weights).all()
        kept = wwopt.Analysis.load(BEFORE / "study" / "artifacts" / ids["analysis"])
        assert wwopt.AlphaScore()(kept) == pytest.approx(trial.value, rel=1e-14)


def test_an_old_journal_is_read(expected, journals):
    """`select` ranks its runs as before, and `sync` and `verify` know that it has no backend."""
    selection = select_run(journal=journals / "local", states=("complete", "pruned"))
    same(as_before(selection.table.to_dict(orient="list")), as_before(expected["local"]), rel=1e-14)
    assert len(selection.best.read().spectra) == 3
    assert select_run(journal=journals / "local").table["name"].tolist() == ["trial-0"]
    assert [each.state for each in sync(journals / "local")] == ["local"]
    assert verify(journals / "local") == []


def test_a_journal_is_written_as_before(analysis, journals):
    """Its tables, the keys of its numbers and the files beside it are those of before."""
    parts.log(LocalTracker("local"), analysis)
    places = (Path("local"), journals / "local")
    (now,), (before,) = (list(folder.glob("*.db")) for folder in places)
    assert parts.tables_of(now) == parts.tables_of(before)
    now, before = (sorted(file.parts[-2:] for file in folder.rglob("analysis.npz")) for folder in places)
    assert now == before


@pytest.mark.parametrize("old", [True, False], ids=["old journal", "new journal"])
def test_mlflow_gets_the_same_names(analysis, expected, journals, migrated, old):
    """Tags, metrics, parameters, artifacts and models in a real store have the names of before."""
    shutil.copy(migrated, "mlflow.db")
    folder = journals / "for-mlflow" if old else Path("journal")
    if not old:
        parts.log(MLflowTracker(experiment=parts.STUDY, uri=STORE, journal=folder, offline=True), analysis)
    assert [each.state for each in delivered(folder)] == ["delivered"]
    assert all(run.ok and not run.unwritten for run in verify(folder))
    same(without_machine(parts.mlflow_names(STORE)), without_machine(expected["mlflow"]))
    selection = select_run(mlflow=parts.STUDY, uri=STORE, states=("complete", "pruned"))
    same(as_before(selection.table.to_dict(orient="list")), as_before(expected["local"]))


@pytest.mark.parametrize("old", [True, False], ids=["old journal", "new journal"])
def test_wandb_gets_the_same_names(analysis, expected, journals, tmp_path, old):
    """Configuration, history, summary and artifacts in W&B's offline files have the names of before."""
    import wandb

    folder = journals / "for-wandb" if old else Path("journal")
    if not old:
        parts.log(WandbTracker(project=parts.STUDY, mode="offline", journal=folder), analysis)
    assert [each.state for each in delivered(folder)] == ["delivered"]
    wandb.teardown()
    assert all(run.ok and not run.unwritten for run in verify(folder))
    same(without_machine(parts.wandb_names(tmp_path)), without_machine(expected["wandb"]))
    selection = select_run(wandb="wandb", states=("complete", "pruned"))
    same(as_before(selection.table.to_dict(orient="list")), as_before(expected["local"]))


def without_machine(runs):
    """Leave out the tags that say who ran what."""
    return {name: {**run, "tags": sorted(set(run["tags"]) - MACHINE)} for name, run in sorted(runs.items())}
