"""Constraints of trials that complete, fail or are retried."""

import optuna
from optuna.trial import TrialState

import wwopt
from tests.support.studies import run
from wwopt_objectives import AlphaPruner
from wwopt_objectives.trial.constraints import CONSTRAINTS, apply_constraints


def test_a_retried_trial_gets_fresh_constraints(network):
    """A retry copies its predecessor's attributes; the objective replaces them."""
    study = optuna.create_study(direction="minimize")
    died = run(lambda _: network(6.0), study=study).trials[0]
    retry = optuna.trial.create_trial(
        state=TrialState.WAITING, user_attrs=died.user_attrs, system_attrs={**died.system_attrs, "failed_trial": 0}
    )
    study.add_trial(retry)
    run(lambda _: network(0.5), study=study)
    assert max(died.constraints.values()) > 0
    assert max(study.trials[1].constraints.values()) <= 0
    assert study.best_trial.number == 1


def test_gaussian_processes_find_their_constraints(network):
    """GPSampler reads constraints by position: every trial has the same, also those pruned or failed."""

    def train(trial):
        decay = trial.suggest_float("decay", 0.3, 6.0)
        if trial.number == 2:
            raise RuntimeError("out of memory")
        yield network(decay if trial.number else 6.0)

    sampler = optuna.samplers.GPSampler(seed=0, n_startup_trials=4)
    study = optuna.create_study(direction="minimize", sampler=sampler, pruner=AlphaPruner())
    run(train, n_trials=6, study=study)
    assert {tuple(trial.constraints) for trial in study.trials} == {CONSTRAINTS}


def test_layers_are_under_trained_by_the_range_of_their_estimator(network):
    """An alpha that one estimator calls well trained is under-trained by the range of another."""
    weights, violated = network(0.2, size=300), {}
    for estimator in ("mle", "hill"):
        study = optuna.create_study()
        apply_constraints(study.ask(), wwopt.analyze(weights, estimator=estimator))
        violated[estimator] = [name for name, value in study.trials[0].constraints.items() if value > 0]
    assert violated == {"mle": [], "hill": ["ww_undertrained"]}
