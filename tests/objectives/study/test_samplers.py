"""Samplers that read complete trials only, on real studies."""

import optuna
import pytest
from optuna.trial import TrialState

from tests.support.studies import run
from wwopt_objectives import AlphaObjective, AlphaPruner, load_best


def one_parameter(network):
    """A training whose network has collapsed where its parameter is above 2."""

    def train(trial):
        yield network(trial.suggest_float("decay", 0.1, 8, log=True), seed=trial.number)

    return train


def suggested_collapse(network, **options):
    """Trials of a study that a Gaussian process suggested after its start, and how many of them had collapsed."""
    sampler = optuna.samplers.GPSampler(seed=1, n_startup_trials=5)
    study = optuna.create_study(direction="minimize", sampler=sampler, pruner=AlphaPruner())
    run(one_parameter(network), n_trials=12, study=study, **options)
    suggested = study.trials[5:]
    return len(suggested), sum(max(trial.constraints.values()) > 0 for trial in suggested)


@pytest.mark.slow
def test_a_gaussian_process_leaves_the_collapsed_point(network):
    """It learns from collapsed trials, which end as complete; of pruned ones it suggests nothing else again."""
    count, collapsed = suggested_collapse(network)
    assert collapsed <= 2
    assert suggested_collapse(network, broken_trials="pruned")[1] >= count - 1


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:Constraints have been set, but CmaEsSampler")
@pytest.mark.parametrize(
    ("sampler", "state"),
    [
        ("GPSampler", TrialState.COMPLETE),
        ("NSGAIISampler", TrialState.COMPLETE),
        ("NSGAIIISampler", TrialState.COMPLETE),
        ("CmaEsSampler", TrialState.COMPLETE),
        ("TPESampler", TrialState.PRUNED),
        ("RandomSampler", TrialState.PRUNED),
    ],
)
def test_the_state_of_a_broken_trial_depends_on_the_sampler(network, diverged, sampler, state):
    """Broken networks end early with their score, infeasible and with the reason, and never win."""
    models, trained = [network(6.0), diverged, network(0.5)], []

    def train(trial):
        for _ in range(4):
            trained.append(trial.number)
            yield models[trial.number]

    chosen = getattr(optuna.samplers, sampler)(seed=0)
    study = optuna.create_study(direction="minimize", sampler=chosen, pruner=AlphaPruner())
    run(train, n_trials=3, study=study, n_steps=4, artifact_store=None)
    for trial in study.trials[:2]:
        assert trial.state == state
        assert trial.user_attrs["ww_pruned_by"].startswith(("broken: 100%", "collapsed: a stable rank"))
        assert max(trial.constraints.values()) > 0
        assert "ww_artifacts" not in trial.user_attrs
        if state == TrialState.COMPLETE:
            assert trial.value == trial.user_attrs["ww_score"]["score"]
    assert [trained.count(number) for number in range(3)] == [1, 1, 4]
    assert study.best_trial.number == load_best(study).trial.number == 2


def test_the_state_can_be_chosen(network):
    """For samplers that are not known here."""
    study = run(one_parameter(network), study=enqueued(6.0, optuna.samplers.RandomSampler()), broken_trials="complete")
    assert study.trials[0].state == TrialState.COMPLETE
    study = run(one_parameter(network), study=enqueued(6.0, optuna.samplers.GPSampler()), broken_trials="pruned")
    assert study.trials[0].state == TrialState.PRUNED
    with pytest.raises(ValueError, match='`broken_trials` must be "auto", "complete" or "pruned"'):
        AlphaObjective(one_parameter(network), broken_trials="fail")


def enqueued(decay, sampler):
    study = optuna.create_study(direction="minimize", sampler=sampler, pruner=AlphaPruner())
    study.enqueue_trial({"decay": decay})
    return study


def test_what_cannot_become_the_best_is_still_pruned(network):
    """Only broken networks end as complete; a sound one that is stopped early has no final score."""
    decays = [0.5, 0.5, 0.55, 0.05]

    def train(trial):
        yield from (network(decays[trial.number]) for _ in range(4))

    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.NSGAIISampler(seed=0), pruner=AlphaPruner()
    )
    run(train, n_trials=4, study=study, n_steps=4, every=1)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3 + [TrialState.PRUNED]
    assert study.trials[3].user_attrs["ww_pruned_by"].startswith("pruned: can reach")


def test_two_directions(network):
    """A collapsed trial has both values there."""
    sampler = optuna.samplers.NSGAIISampler(seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler, pruner=AlphaPruner())
    run(lambda _: iter([(network(6.0), 0.5)] * 3), study=study, with_loss=True)
    assert study.trials[0].state == TrialState.COMPLETE
    assert study.trials[0].values[1] == 0.5
    assert max(study.trials[0].constraints.values()) > 0
    assert study.best_trials == []


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_diverged_is_infinite(network, loss):
    """As a second objective it is infinite where the trial ends as complete, and no such trial is on the front."""
    sampler = optuna.samplers.NSGAIISampler(seed=0, population_size=2)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler, pruner=AlphaPruner())

    def train(trial):
        trial.suggest_float("lr", 0, 1)
        yield network(), 0.5
        yield network(0.5, seed=trial.number), loss if trial.number == 1 else 0.4

    run(train, study=study, n_trials=5, with_loss=True, n_steps=2)
    diverged = study.trials[1]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5
    assert diverged.values == [diverged.user_attrs["ww_score"]["score"], float("inf")]
    assert diverged.user_attrs["ww_pruned_by"].startswith("diverged: the training loss is")
    assert diverged.constraints["ww_unusable"] > 0
    assert 1 not in [trial.number for trial in study.best_trials]
