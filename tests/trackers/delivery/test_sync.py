"""`sync` and `verify`: what a crash leaves is delivered once, and what the backend lacks is named."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.mlflow_study import log_study, runs_of, track
from wwopt.cli import run
from wwopt_trackers import MLflowTracker, sync, verify

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


KILLED = """
import os, signal, sys, wwopt
from wwopt_trackers import MLflowTracker, sync
tracker = MLflowTracker(experiment="digits", uri=sys.argv[1], offline=True)
tracker.child("trial-0", params={}, tags={}).log(wwopt.Analysis.load("analysis.npz"), step=0)
print(sync()[0].state, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_study_whose_process_was_killed(analysis, store):
    """`sync` leaves it alone while it lives; then it delivers every number, and closes what was running as failed."""
    analysis.save("analysis.npz")
    done = subprocess.run([sys.executable, "-c", KILLED, store], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "in progress\n")
    assert [synced.state for synced in sync()] == ["delivered"]
    (root,), (trial,) = runs_of(store, "digits")
    assert (root.info.status, trial.info.status) == ("FAILED", "FAILED")
    assert trial.data.tags["wwopt.reason"] == "the process ended before the run did"
    assert all(run.ok for run in verify())


SENDER_KILLED = """
import os, signal, sys
from mlflow import MlflowClient
from wwopt_trackers import sync

create_run, created = MlflowClient.create_run, []

def create_and_die(*arguments, **options):
    created.append(create_run(*arguments, **options))
    if len(created) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return created[-1]

MlflowClient.create_run = create_and_die
sync()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_a_sender_that_is_killed_when_it_has_created_a_run(analysis, store, number):
    """The next attempt finds the run by its tag: neither the study nor the trial has two runs."""
    with track(store) as tracker:
        tracker.log(analysis, step=0)
        tracker.child("trial-0", params={}, tags={}).finish("complete")
    killed = subprocess.run([sys.executable, "-c", SENDER_KILLED, str(number)], capture_output=True, check=False)
    assert killed.returncode == -9
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("digits").experiment_id
    assert len(client.search_runs([experiment])) == number
    assert [synced.state for synced in sync()] == ["delivered"]
    tags = [each.data.tags["wwopt.run"] for each in client.search_runs([experiment])]
    assert len(tags) == len(set(tags)) == 2
    assert all(each.ok for each in verify())


def test_a_second_sync_doubles_nothing(analysis, store):
    """Also when the delivery log is lost, since each point has its own time stamp."""
    log_study(track(store), analysis)
    for _ in range(2):
        sync()
        for log in Path("wwopt-journal").glob("*.sent*"):
            log.unlink()
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


def test_sync_and_verify_on_the_command_line(analysis, store, capsys):
    """0 when all is well; 1, with the point by name, when the store lacks one; pending when it cannot be reached."""
    with MLflowTracker(experiment="digits", uri=store, offline=True, pictures=0) as tracker:
        tracker.log(analysis, step=3, metrics={"loss": 0.5})
    assert run(["verify"]) == 1
    assert "and" in capsys.readouterr().out
    assert run(["sync"]) == 0
    assert ": delivered" in capsys.readouterr().out
    assert run(["verify", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["points"] > 10
    assert answer["missing"] == []
    with MLflowTracker(experiment="digits", uri="http://127.0.0.1:9", offline=True, journal="away") as tracker:
        tracker.log(analysis, step=3)
    Path("away", "broken.db").write_text("no journal")
    assert run(["sync", "away", "--json"]) == 1
    states = {Path(each["journal"]).name.split("-")[0]: each for each in json.loads(capsys.readouterr().out)}
    assert states["mlflow"]["state"] == "pending"
    assert "does not answer" in states["mlflow"]["message"]
    assert states["broken.db"]["state"] == "unreadable"
