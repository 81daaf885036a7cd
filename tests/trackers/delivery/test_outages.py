"""A backend that is away, hangs, refuses or dies: training goes on, and nothing is lost."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from wwopt_trackers import MLflowTracker, WandbTracker, sync, verify
from wwopt_trackers.journal.journal import Journal
from wwopt_trackers.journal.locks import locked
from wwopt_trackers.recording.supervisor import start as start_sender

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_server_that_is_away(analysis, caplog, tmp_path):
    """Logging takes no time, one warning says what happened, another where the numbers are."""
    with MLflowTracker(experiment="away", uri="http://127.0.0.1:9") as tracker:
        start = time.monotonic()
        trial = tracker.child("trial-0", params={}, tags={})
        for step in range(10):
            trial.log(analysis, step=step)
        assert time.monotonic() - start < 1
    first, second = warnings_of(caplog)
    assert "ConnectionError" in first
    assert "Training goes on" in first
    assert f"wwopt sync {tmp_path / 'wwopt-journal'}" in second


def test_a_server_that_hangs_then_comes_back(analysis, proxy, caplog):
    """`finish` waits no longer than it was told; when the server is back, all of it arrives without being asked."""
    proxy.set("hang")
    tracker = MLflowTracker(experiment="hung", uri=proxy.uri)
    trial = tracker.child("trial-0", params={}, tags={})
    for step in range(5):
        trial.log(analysis, step=step)
    start = time.monotonic()
    trial.finish("complete", timeout=1)
    assert time.monotonic() - start < 3
    assert "Not everything has reached the backend" in caplog.text
    proxy.set("pass")
    trial.finish("complete", timeout=60)
    proxy.set("reset")
    trial.log(analysis, step=5)
    time.sleep(1)
    proxy.set("pass")
    tracker.finish("complete", timeout=60)
    assert all(run.ok for run in verify())


def test_a_server_that_is_slow(analysis, proxy, caplog):
    """A delay of each answer is not felt by a step, and all arrives without a warning."""
    proxy.set("delay")
    with MLflowTracker(experiment="slow", uri=proxy.uri, pictures=0) as tracker:
        trial = tracker.child("trial-0", params={}, tags={})
        trial.log(analysis, step=0)
        tracker.flush(30)  # the sender is at work
        begun = time.monotonic()
        for step in range(1, 5):
            trial.log(analysis, step=step)
        assert time.monotonic() - begun < 0.25
        trial.finish("complete", timeout=60)
    assert not warnings_of(caplog)
    assert all(run.ok for run in verify())


@pytest.mark.skipif(os.name != "posix", reason="sessions and groups of processes are POSIX")
def test_a_sender_is_no_burden(tmp_path):
    """It is of the training's session, in which alone its low priority counts, but no target of its Ctrl-C."""
    journal = Journal(tmp_path / "a.db", {"kind": "local", "name": "a", "pictures": 0})
    with locked(tmp_path / "a.owner"):
        sender = start_sender(journal.path)
        try:
            assert os.getsid(sender.pid) == os.getsid(0)
            assert os.getpgid(sender.pid) == sender.pid != os.getpgid(0)
            end = time.monotonic() + 30
            while os.getpriority(os.PRIO_PROCESS, sender.pid) <= os.getpriority(os.PRIO_PROCESS, 0):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            sender.kill()
            sender.wait()
    journal.close()


def test_wrong_credentials(analysis, proxy, caplog, monkeypatch):
    """A server with basic auth that refuses is named; with the right password everything is delivered."""
    proxy.set("auth")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with MLflowTracker(experiment="secret", uri=proxy.uri) as tracker:
        tracker.log(analysis, step=0)
    assert "401" in caplog.text
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert [synced.state for synced in sync()] == ["delivered"]
    assert [run.ok for run in verify()] == [True]


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("victim", ["sender", "wandb-core"])
def test_a_process_that_was_killed(analysis, victim, tmp_path):
    """The sender, or W&B's own service, dies at work: each trial is made again as one complete run."""
    tracker = WandbTracker(project="digits", pictures=0)
    trial = tracker.child("trial-0", params={}, tags={})
    trial.log(analysis, step=0)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("wandb/offline-run-*/*.wandb")):
        assert time.monotonic() < end
        time.sleep(0.05)
    (sender,) = [
        child for child in children(os.getpid()) if b"wwopt_trackers" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(sender if victim == "sender" else children(sender)[0], signal.SIGKILL)
    trial.log(analysis, step=1)
    trial.finish("complete")
    tracker.finish("complete", timeout=60)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    assert all(run.ok for run in verify())
