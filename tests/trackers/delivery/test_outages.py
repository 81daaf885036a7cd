"""A backend that is away, hangs, refuses or dies: training goes on, and nothing is lost."""

import logging
import os
import signal
from pathlib import Path

import pytest

from tests.support.waiting import DEADLINE, delivered, wait_for
from wwopt_trackers import MLflowTracker, WandbTracker, verify
from wwopt_trackers.journal.delivery_log import DeliveryLog
from wwopt_trackers.journal.journal import Journal
from wwopt_trackers.journal.locks import OWNER, locked
from wwopt_trackers.recording.supervisor import start_sender

# MLflow 3.17 calls what SQLAlchemy 2.1 deprecates.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_server_that_is_away(analysis, caplog, tmp_path):
    """Training goes on; one warning says what happened, another where the numbers are."""
    with MLflowTracker(experiment="away", uri="http://127.0.0.1:9") as tracker:
        trial = tracker.child("trial-0", params={}, tags={})
        for step in range(10):
            trial.log(analysis, step=step)
        wait_for(lambda: warnings_of(caplog), "the first warning")
    first, second = warnings_of(caplog)
    assert "ConnectionError" in first
    assert "Training goes on" in first
    assert f"wwopt sync {tmp_path / 'wwopt-journal'}" in second


def test_a_server_that_hangs_then_comes_back(analysis, proxy, caplog, tmp_path):
    """`log` and `finish` return while it hangs or fails; once it is back, all arrives without being asked for."""
    proxy.set("hang")
    tracker = MLflowTracker(experiment="hung", uri=proxy.uri, pictures=0)
    trial = tracker.child("trial-0", params={}, tags={})
    for step in range(5):
        trial.log(analysis, step=step)
    trial.finish("complete", timeout=1)
    assert "Not everything has reached the backend" in caplog.text
    proxy.set("pass")
    trial.finish("complete", timeout=DEADLINE)
    (journal,) = tmp_path.glob("wwopt-journal/*.db")
    deliveries = DeliveryLog(journal)
    faults = len(deliveries.faults())
    proxy.set("reset")
    trial.log(analysis, step=5)
    wait_for(lambda: len(deliveries.faults()) > faults, "a failure")
    deliveries.close()
    proxy.set("pass")
    tracker.finish("complete", timeout=DEADLINE)
    assert all(run.ok for run in verify())


def test_a_server_that_is_slow(analysis, proxy, caplog):
    """Each answer comes with a delay, and all arrives without a warning."""
    proxy.set("delay")
    with MLflowTracker(experiment="slow", uri=proxy.uri, pictures=0) as tracker:
        trial = tracker.child("trial-0", params={}, tags={})
        for step in range(5):
            trial.log(analysis, step=step)
        trial.finish("complete", timeout=DEADLINE)
        tracker.finish("complete", timeout=DEADLINE)
    assert not warnings_of(caplog)
    assert all(run.ok for run in verify())


@pytest.mark.skipif(os.name != "posix", reason="sessions and groups of processes are POSIX")
def test_a_sender_is_no_burden(tmp_path):
    """It is of the training's session, in which alone its low priority counts, but no target of its Ctrl-C."""
    journal = Journal(tmp_path / "a.db", {"kind": "local", "name": "a", "pictures": 0})
    with locked(journal.path.with_suffix(OWNER)):
        sender = start_sender(journal.path)
        try:
            assert os.getsid(sender.pid) == os.getsid(0)
            assert os.getpgid(sender.pid) == sender.pid != os.getpgid(0)
            own = os.getpriority(os.PRIO_PROCESS, 0)
            wait_for(lambda: os.getpriority(os.PRIO_PROCESS, sender.pid) > own, "the low priority")
        finally:
            sender.kill()
            sender.wait()
    journal.close()


def test_wrong_credentials(analysis, proxy, caplog, monkeypatch):
    """A server with basic auth that refuses is named; with the right password everything is delivered."""
    proxy.set("auth")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with MLflowTracker(experiment="secret", uri=proxy.uri, pictures=0) as tracker:
        tracker.log(analysis, step=0)
        wait_for(lambda: "401" in caplog.text, "the refusal")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    assert [synced.state for synced in delivered()] == ["delivered"]
    assert [run.ok for run in verify()] == [True]


def children(pid, word):
    """Processes that a process has started, whose command line has a word."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in found if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("victim", ["sender", "wandb-core"])
def test_a_process_that_was_killed(analysis, victim, tmp_path):
    """The sender, or W&B's own service, dies at work: each trial is made again as one complete run."""
    tracker = WandbTracker(project="digits", pictures=0)
    trial = tracker.child("trial-0", params={}, tags={})
    trial.log(analysis, step=0)
    wait_for(lambda: list(tmp_path.glob("wandb/offline-run-*/*.wandb")), "W&B's file")
    (sender,) = children(os.getpid(), str(tmp_path))
    (service,) = wait_for(lambda: children(sender, "wandb-core"), "W&B's service")
    os.kill(sender if victim == "sender" else service, signal.SIGKILL)
    trial.log(analysis, step=1)
    trial.finish("complete")
    tracker.finish("complete", timeout=DEADLINE)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    assert all(run.ok for run in verify())
