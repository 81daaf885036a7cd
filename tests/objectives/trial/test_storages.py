"""Many processes on one study, on each storage; one of them is killed in the middle of a trial."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from wwopt_objectives.trial.constraints import CONSTRAINTS

pytestmark = pytest.mark.slow

WORKERS = Path(__file__).parents[2] / "support" / "workers.py"
POSTGRES = os.environ.get("WWOPT_TEST_POSTGRES")
DEADLINE = 590  # seconds; the workers end each of their waits at 300
KINDS = ("sqlite", "journal", "grpc", "postgres")


@pytest.fixture(scope="module")
def survivors(tmp_path_factory):
    """``survivors(kind)``: the study after the processes have ended, and what each saw; all kinds run at once."""
    kinds = [kind for kind in KINDS if kind != "postgres" or POSTGRES]
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in kinds}
    urls = {kind: address(kind, folders[kind]) for kind in kinds}
    studies = [str(part) for kind in kinds for part in (kind, urls[kind], folders[kind])]
    command = [sys.executable, WORKERS, *studies]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr

    def get(kind):
        if kind not in kinds:
            pytest.skip("WWOPT_TEST_POSTGRES names no database")
        lines = [line for path in folders[kind].glob("*.jsonl") for line in path.read_text().splitlines()]
        return optuna.load_study(study_name="s", storage=storages[kind]), list(map(json.loads, lines))

    storages = {kind: storage_of(kind, urls[kind]) for kind in kinds}
    yield get
    if POSTGRES:
        optuna.delete_study(study_name="s", storage=storages["postgres"])
    for storage in storages.values():
        if isinstance(storage, optuna.storages.RDBStorage):
            storage.engine.dispose()


def address(kind, folder):
    if kind == "postgres":
        return POSTGRES
    return str(folder / "study.log") if kind == "journal" else f"sqlite:///{folder / 'study.db'}"


def storage_of(kind, url):
    """What the workers wrote, read from below: behind gRPC stands a database."""
    if kind == "journal":
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    return optuna.storages.RDBStorage(url)


@pytest.mark.parametrize("kind", KINDS)
def test_no_finished_trial_is_lost(survivors, kind):
    """Each trial that a worker finished is in the study, with the value and the attributes that the worker saw."""
    study, seen = survivors(kind)
    assert len(seen) >= 6
    for line in seen:
        trial = study.trials[line["number"]]
        assert trial.state == TrialState.COMPLETE
        assert trial.value == line["value"]
        assert trial.user_attrs == line["attributes"]
        assert trial.user_attrs["ww_score"]["score"] == pytest.approx(trial.value)
        assert sorted(trial.constraints) == sorted(CONSTRAINTS)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_killed_trial_is_retried_with_fresh_constraints(survivors, kind):
    """Where there are heartbeats the trial is tried again; it inherited broken constraints and keeps none of them."""
    study, _ = survivors(kind)
    (killed,) = study.get_trials(states=(TrialState.FAIL,))
    retried = next(trial for trial in study.trials if trial.system_attrs.get("retry_history") == [killed.number])
    assert max(killed.constraints.values()) > 0
    assert retried.state == TrialState.COMPLETE
    assert retried.params == killed.params
    assert list(retried.constraints) == list(killed.constraints)
    assert max(retried.constraints.values()) <= 0
    assert retried.user_attrs["ww_score"] != killed.user_attrs["ww_score"]
    assert [step for step, _ in retried.user_attrs["ww_state"]["levels"]] == [0, 1]


@pytest.mark.parametrize("kind", ["journal", "grpc"])
def test_without_heartbeats_the_killed_trial_stays(survivors, kind):
    """There Optuna does not notice; the trial is left running, infeasible, and can be ended by hand."""
    study, _ = survivors(kind)
    (killed,) = study.get_trials(states=(TrialState.RUNNING,))
    assert max(killed.constraints.values()) > 0
    study.tell(killed.number, state=TrialState.FAIL)
    assert study.trials[killed.number].state == TrialState.FAIL
    assert study.best_trial.number != killed.number
