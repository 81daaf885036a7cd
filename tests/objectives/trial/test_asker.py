"""Asking a trial's network: what fails costs the vote and nothing else."""

import logging
import pickle

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.support.studies import Student, questions, run
from wwopt_objectives import AlphaObjective, select
from wwopt_objectives.study.kept_answers import unpack


class Picky(Student):
    """A student that fails on inputs."""

    def forward(self, inputs):
        raise RuntimeError("shapes do not fit")


def answers_of(trial):
    return unpack(trial.user_attrs["ww_answers"]["answers"])


def test_a_network_that_fails_has_no_vote(caplog):
    """Its trial is complete, the log names the first one once, and `select` says who had no vote and why."""
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(lambda t: (Picky if t.number in (1, 2) else Student)(0.2 * t.number, t.number), n_trials=8,
                    inputs=questions())  # fmt: skip
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert [record.getMessage().count("The network of trial 1 has no vote") for record in caplog.records] == [1]
    reason = select(study).reason
    assert set(reason.no_vote) == {1, 2}
    assert "shapes do not fit" in reason.no_vote[1]


@pytest.mark.parametrize("form", ["state dict", "path"])
def test_what_cannot_be_run_is_said_once(form, tmp_path, caplog):
    """A state dict or a path is scored as ever; the log says once that it cannot be asked."""

    def train(trial):
        state = Student(seed=trial.number).state_dict()
        torch.save(state, tmp_path / "model.pt")
        return state if form == "state dict" else tmp_path / "model.pt"

    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(train, n_trials=3, inputs=questions())
    assert caplog.text.count("`train` must give modules where there are `inputs`") == 1
    assert select(study).reason.rung == "weights"


def test_answers_are_of_the_evaluation_that_counts():
    """With ``keep="best"`` they are those of the step that gives the value, with "last" those of the end."""
    decays = (0.9, 0.9, 0.5, 0.9)
    noises = (0.0, 0.5, 1.0, 2.0)

    def train(trial):
        model = Student()
        for decay, noise in zip(decays, noises, strict=True):
            model.load_state_dict(Student(noise, 1, decay).state_dict())
            yield model

    for keep, step in (("best", 2), ("last", 3)):
        options = {"every": 1, "n_steps": 4, "keep": keep, "pruner": optuna.pruners.NopPruner()}
        (trial,) = run(train, inputs=questions(), **options).trials
        assert trial.user_attrs["ww_step"] == step
        expected = Student(noises[step], 1)(questions()).argmax(1).numpy()
        order = np.lexsort(questions().numpy().T)  # the inputs are kept in an order of their own
        assert (
            np.bincount(answers_of(trial), minlength=10).tolist() == np.bincount(expected[order], minlength=10).tolist()
        )


def test_a_network_is_asked_once_where_the_end_is_known():
    """With ``keep="last"`` a training of four evaluations costs one round of answers."""
    rounds = []

    class Counting(Student):
        def forward(self, inputs):
            rounds.append(len(inputs))
            return super().forward(inputs)

    def train(trial):
        for _ in range(4):
            yield Counting()

    run(train, inputs=questions(), every=1, n_steps=4, keep="last", pruner=optuna.pruners.NopPruner())
    assert sum(rounds) < 200 + 10


def test_a_pruned_network_is_asked_when_it_is_pruned():
    """The pruner stops a training in its middle: the answers are there, of the last evaluation."""

    def train(trial):
        for _ in range(4):
            yield Student(decay=6.0)

    (trial,) = run(train, inputs=questions(), every=1, n_steps=4, keep="last").trials
    assert (trial.state, trial.user_attrs["ww_step"]) == (TrialState.PRUNED, 0)
    assert len(answers_of(trial)) == 200


def test_weights_that_went_on_changing_are_not_asked():
    """A training that prunes itself after it has trained on has no answers of its last evaluation."""

    def train(trial):
        model = Student()
        yield model
        with torch.no_grad():
            model.head.weight.zero_()
        raise optuna.TrialPruned

    (trial,) = run(train, inputs=questions(), n_steps=4, keep="last", every=1).trials
    assert trial.user_attrs["ww_answers"] == {"fault": "its weights went on changing after its last evaluation"}


def test_asking_changes_neither_the_network_nor_the_random_state():
    """A study with inputs trains the networks that it trains without, dropout included."""

    def train(trial):
        torch.manual_seed(trial.number)
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(64))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(32, 64)).square().sum().backward()
            optimizer.step()
            assert model.training
            yield model

    values = [[t.value for t in run(train, n_trials=2, every=1, inputs=X).trials] for X in (None, questions())]
    assert values[0] == values[1]


def test_many_classes_are_asked_more():
    """A hundred classes need more than 512 inputs, which are taken where there are more."""
    study = run(lambda trial: Student(seed=trial.number, classes=100), n_trials=2, inputs=questions(2000))
    assert {len(answers_of(trial)) for trial in study.trials} == {800}


def test_bad_inputs_are_said_at_once(network):
    """What cannot be asked is an error before any training, with the way out."""
    for inputs, options, error, message in (
        (torch.zeros(5, 64), {}, ValueError, "must differ"),
        (questions(1), {}, ValueError, "at least 2 inputs"),
        (3, {}, TypeError, "`inputs` must be a tensor"),
        (questions(), {"with_labels": True}, ValueError, "needs `inputs` that come with labels"),
        (None, {"with_labels": True}, ValueError, "needs `inputs` that come with labels"),
        (questions(), {"kind": "numbers"}, ValueError, "`kind` must be one of auto, classes, values"),
    ):
        with pytest.raises(error, match=message):
            AlphaObjective(lambda _: network(), inputs=inputs, **options)


def test_an_objective_with_inputs_can_be_sent_to_another_process():
    """It is pickled with what it asks, and asks the same."""
    objective = pickle.loads(pickle.dumps(AlphaObjective(Student, inputs=questions(), artifact_store=False)))
    study = optuna.create_study()
    study.optimize(objective, n_trials=0)
    assert objective._asker._probes.hash == AlphaObjective(Student, inputs=questions())._asker._probes.hash


def test_threads_share_the_inputs():
    """With ``n_jobs=2`` each trial keeps its own network's answers."""
    study = optuna.create_study()
    objective = AlphaObjective(lambda trial: Student(0.1 * trial.number, trial.number), inputs=questions(),
                               artifact_store=False)  # fmt: skip
    study.optimize(objective, n_trials=8, n_jobs=2)
    alone = run(lambda trial: Student(0.1 * trial.number, trial.number), n_trials=8, inputs=questions())
    for trial, other in zip(study.trials, alone.trials, strict=True):
        assert np.array_equal(answers_of(trial), answers_of(other))
    assert select(study).number == select(alone).number
