"""The journal by itself: what is in it after a study."""

import logging
import math
import pickle
import resource
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import optuna
import pytest

from wwopt import Analysis, Tracker
from wwopt_trackers import LocalTracker
from wwopt_trackers.journal.journal import Journal
from wwopt_trackers.journal.payload import LAYER_ALPHA, LayerChoice, scalars


def journals(path):
    return [Journal(file) for file in sorted(path.glob("*.db"))]


@pytest.fixture
def read(tmp_path):
    """Open the journals of a folder, and close them after the test."""
    opened = []

    def open_all(path=tmp_path / "log"):
        opened.extend(journals(path))
        return opened

    yield open_all
    for journal in opened:
        journal.close()


def test_a_study_with_its_trials(analysis, read):
    """Runs have their parameters, tags, states and reasons; entries their steps and numbers; spectra can be loaded."""
    with LocalTracker("log") as tracker:
        for number, state in enumerate(["complete", "pruned", "failed"]):
            trial = tracker.child(f"trial-{number}", params={"lr": 0.1, "width": 64}, tags={"study": "digits"})
            for step in (3, 1):
                trial.log(analysis, step=step, metrics={"loss": 0.5})
            trial.finish(state, reason=f"it was {state}")
    (journal,) = read()
    study, *trials = journal.runs()
    assert (study.name, study.state, study.parent) == ("digits", "complete", None)
    assert [(run.state, run.reason) for run in trials] == [(s, f"it was {s}") for s in ("complete", "pruned", "failed")]
    assert all(run.parent == study.id and run.params == {"lr": 0.1, "width": 64} for run in trials)
    entries = journal.entries(trials[0].id)
    assert [entry.step for entry in entries] == [3, 1]
    assert entries[0].metrics["loss"] == 0.5
    assert entries[0].metrics["ww/alpha"] == analysis.summary["alpha"]
    assert np.isnan(entries[0].metrics["ww/layer_alpha/dead"])
    folder = journal.path.parent / journal.artifacts(trials[0].id)[0].folder
    loaded = Analysis.load(folder / "analysis.npz")
    assert all(np.array_equal(loaded.spectra[name], evals) for name, evals in analysis.spectra.items())
    assert (folder / "layers.csv").read_text().count("\n") == 1 + len(analysis.details)


def test_the_protocol_is_kept(analysis):
    """A tracker and its trial are what an objective asks for."""
    with LocalTracker("log") as tracker:
        assert isinstance(tracker, Tracker)
        assert isinstance(tracker.child("trial", params={}, tags={}), Tracker)


def test_a_block_that_ends_in_an_error_fails_its_run(analysis, read):
    """The context manager keeps the true state, and does not swallow the error."""

    def train(error):
        with tracker.child("trial", params={}, tags={}):
            raise error

    with LocalTracker("log") as tracker:
        with pytest.raises(RuntimeError):
            train(RuntimeError("diverged"))
        with pytest.raises(optuna.TrialPruned):
            train(optuna.TrialPruned("alpha over 6"))
    study, a, b = read()[0].runs()
    assert [(run.state, run.reason) for run in (a, b)] == [
        ("failed", "RuntimeError('diverged')"),
        ("pruned", "alpha over 6"),
    ]
    assert study.state == "complete"


def test_what_is_logged_directly_has_a_run_of_its_own(analysis, read):
    """Two trainings under one tracker name do not share a run."""
    for _ in range(2):
        with LocalTracker("log") as tracker:
            tracker.log(analysis, step=0)
    assert len({run.id for journal in read() for run in journal.runs()}) == 2


def test_threads_do_not_mix(analysis, read):
    """Eight trials in eight threads: every entry is in its own run."""

    def train(tracker, number):
        trial = tracker.child(f"{number}", params={"number": number}, tags={})
        for step in range(20):
            trial.log(analysis, step=step, metrics={"number": number})
        trial.finish("complete")

    with LocalTracker("log") as tracker:
        threads = [threading.Thread(target=train, args=(tracker, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (journal,) = read()
    for run in journal.runs()[1:]:
        entries = journal.entries(run.id)
        assert [entry.step for entry in entries] == list(range(20))
        assert {entry.metrics["number"] for entry in entries} == {run.params["number"]}


def test_layers_of_a_large_network():
    """Of 300 layers the worst twenty have a curve, each once chosen keeps it, and never more than two hundred."""
    choice = LayerChoice()
    alphas = {f"layer.{number}": 4.0 for number in range(300)}
    for first in range(0, 300, 20):
        worst = {f"layer.{number}": math.nan if number % 2 else 9.0 for number in range(first, first + 20)}
        curves = choice.curves(alphas | worst)
        assert len(curves) == min(first + 20, 200)
        if first < 200:
            assert {LAYER_ALPHA + name for name in worst} <= curves.keys()
    assert len(LayerChoice().curves(dict.fromkeys(list(alphas)[:200], 4.0))) == 200


def test_numbers_of_a_step(analysis):
    """About thirty scalars besides the layers' own; a spread leaves out what is not a number."""
    logged = scalars(analysis, LayerChoice())
    alphas = analysis.details["alpha"].dropna()
    ends = logged["ww/alpha_min"], logged["ww/alpha_median"], logged["ww/alpha_max"]
    assert ends == (alphas.min(), alphas.min(), alphas.max())  # the lower median of two
    assert len([name for name in logged if not name.startswith(LAYER_ALPHA)]) in range(25, 36)


IN_A_PROCESS = """
import pickle, sys, wwopt
tracker = pickle.loads(bytes.fromhex(sys.argv[1]))
with tracker:
    tracker.child(sys.argv[3], params={}, tags={}).log(wwopt.Analysis.load(sys.argv[2]), step=0)
"""


def test_each_process_has_its_own_journal(analysis, read):
    """A tracker that is at work travels to other processes, where it opens a journal of its own."""
    analysis.save("analysis.npz")
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
        code = pickle.dumps(tracker).hex()
        commands = [[sys.executable, "-c", IN_A_PROCESS, code, "analysis.npz", str(number)] for number in range(2)]
        assert [worker.wait() for worker in [subprocess.Popen(command) for command in commands]] == [0, 0]
    journals = read()
    assert len(journals) == 3
    assert sorted(run.name for journal in journals for run in journal.runs()) == ["0", "1", *["study"] * 3]


def test_a_folder_that_cannot_be_written_to(analysis, tmp_path, caplog):
    """One warning says where the journal went instead, and nothing is lost."""
    (tmp_path / "log").write_text("a file is in the way")
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    spare = message.split("it goes to ")[1].rstrip(".")
    (journal,) = journals(Path(spare))
    assert len(journal.entries(journal.runs()[0].id)) == 1
    journal.close()


def test_a_full_disk(analysis, read, caplog):
    """What the disk refuses is kept in memory, warned of once, and written when there is room again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LocalTracker("log") as tracker:
        tracker.log(analysis, step=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))
        try:
            for step in range(1, 40):
                tracker.log(analysis, step=step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (journal,) = read()
    (run,) = journal.runs()
    assert [entry.step for entry in journal.entries(run.id)] == list(range(40))
    assert caplog.text.count("kept in memory until it can") == 1
    assert journal.missing_artifacts(run.id) == []
    assert not any(artifact.fault for artifact in journal.artifacts(run.id))


def test_logging_never_raises(analysis, caplog, read):
    """A metric that is no number is warned of once; training goes on."""
    with LocalTracker("log") as tracker:
        for step in range(3):
            tracker.log(analysis, step=step, metrics={"loss": "high"})
        tracker.log(analysis, step=3)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "loss" in caplog.text
    (journal,) = read()
    assert [entry.step for entry in journal.entries(journal.runs()[0].id)] == [0, 1, 2, 3]


def test_a_journal_of_a_newer_version(tmp_path, read):
    """It is refused, and the error says what to do."""
    with LocalTracker("log") as tracker:
        tracker.child("a", params={}, tags={})
    (file,) = (tmp_path / "log").glob("*.db")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match=r"newer wwopt \(format 99\); upgrade"):
        Journal(file)


def test_a_file_that_is_no_journal(tmp_path):
    """Text, and a database of somebody else, are refused by name."""
    (tmp_path / "a.db").write_text("no database" * 100)
    sqlite3.connect(tmp_path / "b.db").close()
    for name in ("a.db", "b.db"):
        with pytest.raises(ValueError, match=name):
            Journal(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"c\.db"):
        Journal(tmp_path / "c.db")


def test_a_study_that_ends_before_its_trials(analysis, read, caplog):
    """What still runs has failed; logging to it afterwards is warned of, and raises nothing."""
    with LocalTracker("log") as tracker:
        trial = tracker.child("trial-0", params={}, tags={})
    trial.log(analysis, step=0)
    trial.finish("complete")
    assert "its study has ended" in caplog.text
    _, run = read()[0].runs()
    assert (run.state, run.reason) == ("failed", "the study ended before the run did")


AT_EXIT = """
import sys, wwopt
from wwopt_trackers import LocalTracker
LocalTracker("log").log(wwopt.Analysis.load("analysis.npz"), step=0)
if sys.argv[1:]: raise RuntimeError("diverged")
"""


@pytest.mark.parametrize(
    ("arguments", "ended"), [([], ("complete", "")), (["x"], ("failed", "RuntimeError('diverged')"))]
)
def test_a_tracker_that_nobody_finished(analysis, read, arguments, ended):
    """The end of the program ends its run, with the program's own state, and the spectra are written."""
    analysis.save("analysis.npz")
    subprocess.run([sys.executable, "-c", AT_EXIT, *arguments], capture_output=True, check=False)
    (journal,) = read()
    (run,) = journal.runs()
    assert (run.state, run.reason) == ended
    assert journal.missing_artifacts(run.id) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(not Path("/proc/mounts").exists(), reason="mounts a tmpfs")
def test_a_disk_that_is_full(analysis, small_disk, caplog):
    """On a real full disk training goes on, one warning says so, and every number is there once there is room."""
    with LocalTracker(small_disk / "log") as tracker:
        tracker.log(analysis, step=0)
        filler = small_disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for step in range(1, 30):
            tracker.log(analysis, step=step)
        assert caplog.text.count("kept in memory until it can") == 1
        filler.unlink()
    (journal,) = journals(small_disk / "log")
    (run,) = journal.runs()
    assert [entry.step for entry in journal.entries(run.id)] == list(range(30))
    assert journal.missing_artifacts(run.id) == []
    journal.close()
