"""The record that a trial leaves: result, attributes, runs in the trackers."""

import json
import logging

import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.support.studies import run
from wwopt_objectives import AlphaScore, load_best
from wwopt_objectives.trial.constraints import CONSTRAINTS
from wwopt_objectives.trial.recorder import TrialRecorder


def test_attributes_are_plain_json(network, diverged):
    """Nothing but JSON is left on trials and study, also where numbers are missing."""
    models = [network(), diverged]
    study = run(lambda trial: models[trial.number], n_trials=2)
    for attributes in (study.user_attrs, *(trial.user_attrs for trial in study.trials)):
        assert json.loads(json.dumps(attributes, allow_nan=False)) == attributes


DECAYS = (0.9, 0.4, 0.5, 0.9)  # a training that is best at its third step and then goes too far


def best_then_worse(network):
    """A training on one module, which every step changes."""

    def train(trial):
        model = torch.nn.Linear(64, 64, bias=False)
        for decay in DECAYS:
            model.load_state_dict({"weight": network(decay)["layer.weight"]})
            yield model

    return train


def test_the_best_step_counts(network):
    """The value, the record and the kept weights are of the best evaluation, though the training changed them since."""
    study = run(best_then_worse(network), every=1, artifact_store=None, pruner=optuna.pruners.NopPruner())
    trial, best = study.trials[0], load_best(study)
    assert trial.value == min(trial.intermediate_values.values()) < trial.intermediate_values[3]
    step = trial.user_attrs["ww_step"]
    assert trial.intermediate_values[step] == trial.value == trial.user_attrs["ww_score"]["score"]
    expected = network(DECAYS[step])["layer.weight"]
    assert torch.allclose(best.state_dict["weight"], expected.float(), atol=1e-6)
    assert AlphaScore()(best.analysis) == pytest.approx(trial.value)


def test_the_last_step_counts_on_request(network):
    """With ``keep="last"`` value and weights are those of the end."""
    study = run(best_then_worse(network), every=1, keep="last", artifact_store=None, pruner=optuna.pruners.NopPruner())
    assert study.trials[0].value == study.trials[0].intermediate_values[3]
    assert study.trials[0].user_attrs["ww_step"] == 3
    expected = network(DECAYS[3])["layer.weight"]
    assert torch.allclose(load_best(study).state_dict["weight"], expected.float(), atol=1e-6)


def test_an_early_evaluation_does_not_count(network):
    """Before 40% of ``n_steps`` a low score says little: it is reported, and is not the result."""

    def train(trial):
        yield from (network(decay) for decay in (0.5, 0.9, 0.9, 0.9))

    trial = run(train, every=1, n_steps=4, pruner=optuna.pruners.NopPruner()).trials[0]
    assert trial.intermediate_values[0] < trial.value
    assert trial.user_attrs["ww_step"] == 3


def test_a_retried_trial_keeps_nothing_of_its_predecessor(network):
    """What the objective writes and a retry inherits is dropped: also kept weights and the loss."""
    study = optuna.create_study(direction="minimize")
    died = run(lambda _: (network(0.5), 0.1), study=study, artifact_store=None).trials[0]
    assert {"ww_artifacts", "train_loss"} <= died.user_attrs.keys()
    study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=died.user_attrs))
    run(lambda _: network(0.9), study=study, artifact_store=None, keep_n=1)
    retried = study.trials[1]
    assert retried.user_attrs["ww_score"]["score"] == retried.value > died.value
    assert retried.user_attrs["ww_artifacts"] is None
    assert retried.user_attrs["train_loss"] is None


def test_a_training_that_prunes_itself(network):
    """`TrialPruned` raised in `train` leaves constraints: of the last evaluation, or broken where there was none."""

    def train(trial):
        if trial.number == 1:
            yield network(0.5)
        raise optuna.TrialPruned("too slow")

    study = run(train, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert [list(trial.constraints) for trial in study.trials] == [list(CONSTRAINTS)] * 2
    assert [max(trial.constraints.values()) > 0 for trial in study.trials] == [True, False]
    assert all(trial.user_attrs["ww_pruned_by"] == "too slow" for trial in study.trials)


class Undefined(AlphaScore):
    """A score that is not a number."""

    def explain(self, analysis):
        return {**super().explain(analysis), "score": float("nan")}


def test_a_score_that_is_not_a_number_is_the_worst(network, caplog):
    """The study goes on with the score's maximum, and the log says so."""
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(lambda _: network(), score=Undefined())
    assert study.trials[0].value == AlphaScore().maximum
    assert "Undefined gave nan for trial 0; its maximum is used" in caplog.text


class WritingTracker:
    """A tracker that writes down what it is told."""

    def __init__(self, calls=None, name="study"):
        self.calls, self.name = [] if calls is None else calls, name

    def child(self, name, *, params, tags):
        self.calls.append(("child", name, dict(params), dict(tags)))
        return WritingTracker(self.calls, name)

    def log(self, analysis, *, step, metrics=None):
        self.calls.append(("log", self.name, step, dict(metrics or {})))

    def finish(self, state, *, reason="", timeout=None):
        self.calls.append(("finish", self.name, state, reason))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.finish("complete")


def test_trackers_get_every_evaluation_and_the_end(network):
    """Each trial is a child with its parameters, its evaluations and its true final state."""

    def train(trial):
        trial.suggest_float("lr", 0.1, 0.1)
        if trial.number == 2:
            raise RuntimeError("no data")
        for _ in range(2):
            yield network([0.5, 6.0][trial.number]), 0.5

    tracker = WritingTracker()
    study = run(train, n_trials=3, every=1, trackers=[tracker])
    children = [call for call in tracker.calls if call[0] == "child"]
    assert [name for _, name, _, _ in children] == ["trial-0", "trial-1", "trial-2"]
    assert all(params == {"lr": 0.1} for _, _, params, _ in children)
    assert children[0][3] == {"study": study.study_name, "trial": "0"}
    logs = [call for call in tracker.calls if call[0] == "log"]
    assert [(name, step) for _, name, step, _ in logs] == [("trial-0", 0), ("trial-0", 1), ("trial-1", 0)]
    assert set(logs[0][3]) == {"ww/score", "train_loss"}
    ends = {name: (state, reason) for kind, name, state, reason in (c for c in tracker.calls if c[0] == "finish")}
    assert ends["trial-0"] == ("complete", "")
    assert ends["trial-1"][0] == "pruned"
    assert "stable rank" in ends["trial-1"][1]
    assert ends["trial-2"] == ("failed", "RuntimeError: no data")


def test_a_trial_without_an_evaluation_has_no_result():
    """Completing it is an error that says so."""
    recorder = TrialRecorder(optuna.create_study().ask(), score=AlphaScore())
    assert recorder.last_step is None
    assert recorder.prune_reason() is None
    with pytest.raises(RuntimeError, match="nothing was evaluated"):
        recorder.complete()


def test_an_interrupted_trial_is_infeasible(network):
    """Also Ctrl-C leaves the trial marked, and ends its runs as failed."""

    def train(trial):
        yield network()
        raise KeyboardInterrupt

    tracker, study = WritingTracker(), optuna.create_study()
    with pytest.raises(KeyboardInterrupt):
        run(train, study=study, trackers=[tracker])
    assert min(study.trials[0].constraints.values()) > 0
    assert tracker.calls[-1] == ("finish", "trial-0", "failed", "KeyboardInterrupt: ")
