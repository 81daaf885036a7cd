"""W&B offline: what its files hold, record by record."""

import json
import sqlite3
import threading
from collections import defaultdict

import numpy as np
import pytest
import wandb

from tests.support.waiting import DEADLINE, delivered
from wwopt.tracking import Choice
from wwopt_trackers import WandbTracker, verify
from wwopt_trackers.backends.wandb.offline_file import read_records


def read_runs(folder):
    """Records of each run by kind."""
    runs = {}
    for file in folder.glob("wandb/offline-run-*/*.wandb"):
        records = defaultdict(list)
        for record in read_records(file):
            kind = record.WhichOneof("record_type")
            records[kind].append(getattr(record, kind))
        runs[records["run"][0].display_name] = records
    return runs


def rows(records, key="ww/alpha"):
    """Rows of the history that have a key."""
    found = [
        {".".join(item.nested_key): json.loads(item.value_json) for item in row.item} for row in records["history"]
    ]
    return [row for row in found if key in row]


def summary(records):
    return {
        update.key or update.nested_key[0]: json.loads(update.value_json)
        for record in records["summary"]
        for update in record.update
    }


@pytest.mark.slow
def test_a_study_is_a_group_and_a_trial_a_run(analysis, tmp_path):
    """Configuration, steps, time stamps, states, spectra and exit codes are on disk when the tracker has finished."""
    with WandbTracker(project="digits") as tracker:
        for number, state in enumerate(["complete", "pruned", "failed"]):
            trial = tracker.child(f"trial-{number}", params={"lr": 0.1}, tags={"study": "study"})
            for step in (5, 3, 4):
                trial.log(analysis, step=step, metrics={"loss": float("nan")})
            trial.finish(state, reason=f"it was {state}")
        tracker.finish("complete", timeout=DEADLINE)
    runs = read_runs(tmp_path)
    assert sorted(runs) == ["trial-0", "trial-1", "trial-2"]
    for number, state in enumerate(["complete", "pruned", "failed"]):
        records = runs[f"trial-{number}"]
        (run,) = records["run"]
        assert (run.project, run.run_group, run.job_type) == ("digits", "study", "trial")
        assert {update.key: update.value_json for update in run.config.update}["lr"] == "0.1"
        assert [row["ww/step"] for row in rows(records)] == [5, 3, 4]
        steps = {(metric.name, metric.glob_name, metric.step_metric) for metric in records["metric"]}
        assert steps >= {("ww/step", "", ""), ("", "*", "ww/step")}  # a step of W&B's own that goes back is dropped
        assert rows(records)[0]["ww/alpha"] == analysis.summary["alpha"]
        assert (summary(records)["ww/state"], summary(records)["ww/reason"]) == (state, f"it was {state}")
        assert records["exit"][0].exit_code == (state == "failed")
        assert len([artifact for artifact in records["artifact"] if artifact.type == "ww-analysis"]) == 3
        assert [row["ww/layers.increment_num"] for row in rows(records, "ww/layers.increment_num")] == [0, 1, 2]
        (edges,) = {tuple(row["ww/eigenvalues.bins"]) for row in rows(records, "ww/eigenvalues.bins")}
        assert np.allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
        pictures = rows(records, "ww/pictures/alpha-by-layer.path")
        assert len(pictures) == (state == "complete")
    assert all(run.ok for run in verify())


@pytest.mark.slow
def test_sync_makes_a_run_that_was_cut_off_again(analysis, tmp_path):
    """What an earlier attempt left is replaced by one complete run, from the journal alone."""
    with WandbTracker(project="digits", pictures=0) as tracker:
        tracker.log(analysis, step=0)
        tracker.finish("complete", timeout=DEADLINE)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    (journal,) = tmp_path.glob("wwopt-journal/*.db")
    file.write_bytes(file.read_bytes()[:2000])  # as a full disk leaves it
    (lacking,) = verify()
    assert not lacking.ok
    deliveries = sqlite3.connect(journal.with_suffix(".sent"))
    deliveries.execute("UPDATE deliveries SET closed = 0")
    deliveries.commit()
    deliveries.close()
    assert [synced.state for synced in delivered()] == ["delivered"]
    wandb.teardown()
    assert [run.ok for run in verify()] == [True]


@pytest.mark.slow
def test_threads_do_not_mix(analysis, tmp_path):
    """Four trials in four threads: each run has its own rows, all of them, in order."""

    def train(tracker, number):
        trial = tracker.child(f"{number}", params={}, tags={})
        for step in range(5):
            trial.log(analysis, step=step, metrics={"number": number})
        trial.finish("complete")

    with WandbTracker(project="digits", pictures=0) as tracker:
        threads = [threading.Thread(target=train, args=(tracker, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tracker.finish("complete", timeout=DEADLINE)
    for name, records in read_runs(tmp_path).items():
        assert [(row["ww/step"], row["number"]) for row in rows(records)] == [(step, int(name)) for step in range(5)]


@pytest.mark.slow
def test_a_promotion_is_queued(analysis, tmp_path):
    """The model lies in an offline run under its alias, once; its link waits until there is a key."""
    (tmp_path / "weights.pt").write_text("weights")
    with WandbTracker(project="digits", pictures=0) as tracker:
        for number, state in enumerate(("complete", "pruned")):
            trial = tracker.child(f"trial-{number}", params={"lr": 0.1}, tags={"study": "study"})
            trial.log(analysis, step=0)
            trial.finish(state)
        tracker.flush(DEADLINE)
        for _ in range(2):
            assert tracker.promote("trial-0", "digits-net", "champion", weights="weights.pt") == "queued"
        with pytest.raises(ValueError, match="`best` must be a run that is complete, but 'trial-1' is pruned"):
            tracker.promote("trial-1", "digits-net", "champion")
        with pytest.raises(ValueError, match="0 are called 'trial-9'"):
            tracker.promote("trial-9", "digits-net", "champion")
        with pytest.raises(ValueError, match="`alias` must not be 'latest'"):
            tracker.promote("trial-0", "digits-net", "latest")
        with pytest.raises(FileNotFoundError, match=r"No such file: gone\.pt"):
            tracker.promote("trial-0", "digits-net", "champion", weights="gone.pt")
        tracker.finish("complete", timeout=DEADLINE)
    wandb.teardown()
    records = read_runs(tmp_path)["digits-net-champion"]
    (artifact,) = records["artifact"]
    assert (artifact.name, artifact.type, sorted(artifact.aliases)) == ("digits-net", "model", ["champion", "latest"])
    assert sorted(entry.path for entry in artifact.manifest.contents) == ["analysis.npz", "weights.pt"]
    assert records["run"][0].job_type == "promotion"
    assert [(each.state, each.ok) for each in delivered()] == [("delivered", True), ("queued", True)]


def test_offline_unless_a_key_is_set(monkeypatch, tmp_path):
    """Nobody is asked for a key."""
    assert WandbTracker(project="a").about["mode"] == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert WandbTracker(project="a").about["mode"] == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbTracker(project="a").about["mode"] == "offline"


def test_a_mode_that_does_not_exist():
    """The error names the argument and the choices."""
    with pytest.raises(ValueError, match="`mode` must be 'online' or 'offline', got 'later'"):
        WandbTracker(project="a", mode="later")


def test_the_choice_stands_in_the_studys_run(tmp_path):
    """A study that was told a choice has a run of its own, whose summary has the last one and its reason."""
    with WandbTracker(project="digits", group="study") as tracker:
        for number in (1, 2):
            numbers = {"agreement": 0.9} if number == 1 else {"loss": 0.5}
            choice = Choice("study", "10:00", f"trial-{number}", "trial-1", "They agree.", "inputs", number, numbers)
            tracker.choose(choice)
        tracker.finish("complete", timeout=DEADLINE)
    (records,) = read_runs(tmp_path).values()
    assert (records["run"][0].job_type, records["run"][0].run_group) == ("study", "study")
    found = summary(records)
    assert (found["ww/chosen"], found["ww/best"], found["ww/chosen_reason"]) == ("trial-2", "trial-1", "They agree.")
    assert (found["ww/chosen_trials"], found["ww/chosen_loss"], found["ww/chosen_agreement"]) == ("2", "0.5", None)
