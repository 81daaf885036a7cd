"""Which answers are compared, and who has no vote."""

import logging

import numpy as np
import optuna
import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore

from tests.support.studies import Student, questions, run
from wwopt_objectives import select
from wwopt_objectives.study.judged_trials import judge_trials

NOISES = [0.9, 0.3, 0.6, 0.1, 1.2, 0.8, 0.5, 0.7]


def student(trial):
    return Student(NOISES[trial.number], trial.number)


def test_answers_to_other_inputs_are_not_mixed(caplog):
    """Resumed with other inputs a study warns once, and the larger group votes alone; nothing of the other is lost."""
    study = run(student, n_trials=5, inputs=questions())
    before = select(study)
    answers = [trial.user_attrs["ww_answers"] for trial in study.trials]
    with caplog.at_level(logging.WARNING, "wwopt"):
        run(student, n_trials=3, study=study, inputs=questions(seed=4))
    assert caplog.text.count("so far were asked other inputs") == 1
    after = select(study)
    assert after == study.trials[before.number]
    assert after.reason.agreement == before.reason.agreement
    assert {5, 6, 7} <= after.reason.no_vote.keys()
    assert "it answered other inputs than trial 0" in after.reason.no_vote[5]
    assert [trial.user_attrs["ww_answers"] for trial in study.trials[:5]] == answers


def test_the_same_inputs_in_another_form_are_the_same(caplog):
    """A study goes on with what holds the same numbers, whatever it is."""
    X = questions()
    study = run(student, n_trials=4, inputs=X)
    with caplog.at_level(logging.WARNING, "wwopt"):
        run(student, n_trials=4, study=study, inputs=X.numpy())
    assert not caplog.records
    assert not select(study).reason.no_vote


def test_a_shuffled_loader_asks_the_same_in_each_run(caplog):
    """A loader that shuffles gives one study the same inputs each time, and leaves the random state alone."""
    data = torch.utils.data.TensorDataset(questions(400), torch.zeros(400))
    study = optuna.create_study()
    torch.manual_seed(1)
    expected = torch.rand(3)
    with caplog.at_level(logging.WARNING, "wwopt"):
        for _ in range(2):
            torch.manual_seed(1)
            loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
            objective_inputs = {"inputs": loader}
            run(student, n_trials=3, study=study, **objective_inputs)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), expected)
    assert len({trial.user_attrs["ww_answers"]["inputs"] for trial in study.trials}) == 1
    assert not caplog.records


def test_networks_of_another_answer_space_have_no_vote():
    """One with twelve classes among those with ten votes not, and is not chosen where others can be."""
    study = run(lambda trial: Student(NOISES[trial.number], trial.number, classes=12 if trial.number == 3 else 10),
                n_trials=8, inputs=questions())  # fmt: skip
    chosen = select(study)
    assert chosen.number == 1
    assert "another shape" in chosen.reason.no_vote[3]


def test_labels_feed_the_meter_alone():
    """Shuffled labels change the meter, and nothing else: neither the vote nor the order."""
    X = questions()
    right = Student().forward(X).argmax(1)
    shuffled = right[torch.randperm(len(X), generator=torch.Generator().manual_seed(0))]
    verdicts = []
    for inputs, options in ((X, {}), ((X, right), {"with_labels": True}), ((X, shuffled), {"with_labels": True})):
        study = run(student, n_trials=8, inputs=inputs, **options)
        verdicts.append(judge_trials(study).verdict)
    assert verdicts[0].contradiction is None
    assert verdicts[1].contradiction < 0.3
    assert verdicts[2].contradiction > 0.5
    for verdict in verdicts[1:]:
        assert verdict.order == verdicts[0].order
        for name in ("values", "agreement", "competence", "votes"):
            assert np.array_equal(getattr(verdict, name), getattr(verdicts[0], name))


def test_large_answers_lie_in_the_artifact_store(tmp_path):
    """Values of sixty outputs are too large for an attribute: the store keeps them, and `select` reads them there."""
    store = FileSystemArtifactStore(tmp_path)
    options = {"n_trials": 6, "inputs": questions(), "kind": "values", "artifact_store": store}
    study = run(lambda trial: Student(NOISES[trial.number], trial.number, classes=60), **options)
    kept = [trial.user_attrs["ww_answers"] for trial in study.trials]
    assert all("artifact" in one and "answers" not in one for one in kept)
    chosen = select(study, artifact_store=store)
    assert (chosen.number, chosen.reason.rung, chosen.reason.no_vote) == (3, "inputs", {})
    elsewhere = select(study)
    assert elsewhere.reason.rung == "weights"
    assert "give it as `artifact_store`" in str(judge_trials(study).faults)


def test_large_answers_without_a_store_are_a_fault():
    """Where nothing may be written the trial says that its answers were too large."""
    study = run(lambda trial: Student(0.1, classes=60), inputs=questions(), kind="values")
    assert "too large" in study.trials[0].user_attrs["ww_answers"]["fault"]


def test_damaged_answers_cost_one_vote(tmp_path):
    """An attribute that cannot be read takes its trial's vote; the others choose."""
    study = run(student, n_trials=6, inputs=questions())
    trials = study.trials
    damaged = optuna.create_study()
    for trial in trials:
        if trial.number == 0:
            trial.user_attrs["ww_answers"]["answers"]["data"] = "AAAA"
        damaged.add_trial(trial)
    chosen = select(damaged)
    assert chosen.number == select(study).number
    assert "cannot be read" in chosen.reason.no_vote[0]


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_studies_of_earlier_versions_are_read(kind, tmp_path, network):
    """Trials without answers, of before there were any, are chosen among by loss and score."""
    study = run(lambda trial: (network([0.9, 0.5][trial.number]), [0.5, 0.4][trial.number]), n_trials=2)
    old = optuna.create_study(storage=None if kind == "memory" else optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "log"))))  # fmt: skip
    for trial in study.trials:
        old.add_trial(trial)
    assert (select(old).number, select(old).reason.rung) == (1, "weights and loss")


def test_trials_that_were_not_measured_are_named():
    """One whose layers are too small for the study has no vote, and the reason lists it."""

    def train(trial):
        return torch.nn.Linear(64, 20) if trial.number == 2 else student(trial)

    study = run(train, n_trials=6, inputs=questions())
    assert study.trials[2].state == optuna.trial.TrialState.PRUNED
    assert select(study).reason.no_vote == {2: "it was not measured"}
