"""``keep_n``: whose weights stay in the artifact store."""

import logging

import optuna
import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore

from tests.support.studies import Student, questions, run
from wwopt_objectives import load_best, select
from wwopt_objectives.study.kept_weights import trials_without_weights

NOISES = [0.9, 0.3, 0.6, 0.1, 1.2, 0.8, 0.5, 0.7, 1.0, 0.4]


def student(trial):
    return Student(NOISES[trial.number], trial.number, decay=0.4 + 0.03 * trial.number)


def kept(study):
    """Numbers of the trials whose weights the study says are there."""
    gone = trials_without_weights(study)
    return [t.number for t in study.trials if t.user_attrs.get("ww_artifacts") and t.number not in gone]


def files(study, folder):
    """Numbers of the trials whose files are there."""
    names = {path.name for path in folder.iterdir()}
    return [t.number for t in study.trials if names & set((t.user_attrs.get("ww_artifacts") or {}).values())]


def test_the_first_n_are_kept(storage, tmp_path):
    """Three of ten trials keep their files, the chosen and the best one among them; the rest are deleted."""
    folder = tmp_path / "store"
    folder.mkdir()
    store = FileSystemArtifactStore(folder)
    study = run(student, n_trials=10, storage=storage, inputs=questions(), artifact_store=store, keep_n=3)
    assert kept(study) == files(study, folder)
    assert len(kept(study)) == 3
    assert len(list(folder.iterdir())) == 6
    chosen = select(study)
    assert {chosen.number, study.best_trial.number} <= set(kept(study))
    best = load_best(study, artifact_store=store)
    assert best.trial == chosen
    assert torch.equal(best.state_dict["head.weight"], student(chosen).head.weight)
    gone = next(trial for trial in study.trials if trial.number not in kept(study))
    with pytest.raises(ValueError, match=f"No weights were kept of trial {gone.number}"):
        load_best(study, trial=gone, artifact_store=store)


def test_all_are_kept_on_request(tmp_path):
    """``keep_n=None`` deletes nothing."""
    study = run(student, n_trials=10, inputs=questions(), artifact_store=FileSystemArtifactStore(tmp_path), keep_n=None)
    assert files(study, tmp_path) == list(range(10))


def test_one_that_would_have_come_first_is_named(tmp_path):
    """Where the first trial's weights are not there, the next one is chosen, and the reason says so."""
    study = run(student, n_trials=5, inputs=questions())
    first = select(study)
    assert first.reason.not_kept is None
    store = FileSystemArtifactStore(tmp_path)
    run(student, n_trials=5, study=study, inputs=questions(), artifact_store=store)
    chosen = select(study)
    assert chosen.number >= 5
    assert chosen.reason.not_kept == first.number == 3
    assert "Trial 3 would have come first, but its weights were not kept." in str(chosen.reason)


class NoDelete(FileSystemArtifactStore):
    """A store whose files stay, as a bucket with a retention rule."""

    def remove(self, artifact_id):
        raise PermissionError("not allowed")


def test_a_store_that_cannot_delete(tmp_path, caplog):
    """The trials are complete, their weights count as kept, and the log says why they stay."""
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(student, n_trials=8, inputs=questions(), artifact_store=NoDelete(tmp_path), keep_n=1)
    assert "The artifact store does not delete the weights of trial" in caplog.text
    assert files(study, tmp_path) == kept(study)
    assert select(study).number in kept(study)


def test_what_another_worker_deleted_is_no_error(tmp_path, caplog):
    """A file that is gone already is as good as deleted."""
    store = FileSystemArtifactStore(tmp_path)
    study = run(student, n_trials=2, inputs=questions(), artifact_store=store, keep_n=2)
    for path in tmp_path.iterdir():
        path.unlink()
    with caplog.at_level(logging.WARNING, "wwopt"):
        run(student, n_trials=2, study=study, inputs=questions(), artifact_store=store, keep_n=2)
    assert not caplog.records


def test_a_dying_worker_does_not_take_the_chosen_weights_along(tmp_path):
    """With one kept, a trial that dies after it has displaced another leaves that one's file."""
    store = FileSystemArtifactStore(tmp_path)

    class Dies:
        def child(self, name, *, params, tags):
            return self

        def log(self, analysis, *, step, metrics=None):
            pass

        def finish(self, state, *, reason="", timeout=None):
            raise SystemExit

    options = {"inputs": questions(), "artifact_store": store, "keep_n": 1}
    study = run(lambda trial: Student(0.9), n_trials=1, **options)
    with pytest.raises(SystemExit):
        run(lambda trial: Student(0.1), n_trials=1, study=study, trackers=[Dies()], **options)
    assert study.trials[1].state != optuna.trial.TrialState.COMPLETE
    assert load_best(study, artifact_store=store).trial.number == 0


def test_a_bad_number_is_said(network):
    """It is one or more, or None."""
    with pytest.raises(ValueError, match="`keep_n` must be at least 1, or None for all, got 0"):
        run(lambda _: network(), keep_n=0)


def test_weights_are_kept_where_trials_cannot_be_compared(tmp_path, monkeypatch, caplog):
    """Should the comparison fail, the trial is complete, its weights are kept and nobody's are deleted."""

    def fails(*arguments, **options):
        raise OSError("the storage is gone")

    monkeypatch.setattr("wwopt_objectives.trial.recorder.judge_trials", fails)
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(student, n_trials=3, artifact_store=FileSystemArtifactStore(tmp_path), keep_n=1)
    assert caplog.text.count("could not be compared with the others") == 3
    assert files(study, tmp_path) == [0, 1, 2]
