"""Trackers and their runs: what a study leaves in its journal."""

import threading

import numpy as np
import optuna
import pytest

from wwopt import Analysis, Tracker
from wwopt_trackers import LocalTracker


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


def test_a_study_that_ends_before_its_trials(analysis, read, caplog):
    """What still runs has failed; logging to it afterwards is warned of, and raises nothing."""
    with LocalTracker("log") as tracker:
        trial = tracker.child("trial-0", params={}, tags={})
    trial.log(analysis, step=0)
    trial.finish("complete")
    assert "its study has ended" in caplog.text
    _, run = read()[0].runs()
    assert (run.state, run.reason) == ("failed", "the study ended before the run did")
