"""The state of a training, as it is kept on a trial."""

import numpy as np
import optuna
import pytest

import wwopt
from wwopt_objectives import AlphaPruner
from wwopt_objectives.study.attributes import STATE
from wwopt_objectives.trial.training_state import MAX_LEVELS, state_of, update_state


def trial_with(state):
    """A finished trial that has this state."""
    return optuna.trial.create_trial(value=1.0, user_attrs={} if state is None else {STATE: state})


def test_a_long_training_keeps_few_evaluations(network):
    """The first and the last evaluation stay, and some between them, few enough for any storage."""
    state, analysis = None, wwopt.analyze(network(0.4))
    for step in range(100):
        state = update_state(state, analysis, 3.0, step, 100)
        steps = [step for step, _ in state["levels"]]
        assert (steps[0], steps[-1]) == (0, step)
    assert 12 <= len(steps) <= MAX_LEVELS


def test_what_is_kept_is_read(network):
    """Steps, scores and the network's health come back, and a healthy network is not pruned."""
    analysis = wwopt.analyze(network(0.4))
    state = update_state(update_state(None, analysis, 3.0, 4, 20), analysis, 2.0, 8, 20)
    trial = trial_with(state)
    read = state_of(trial)
    (score,) = read.curves
    assert (read.steps.tolist(), score.values.tolist(), read.n_steps, read.step) == ([4, 8], [3.0, 2.0], 20, 8)
    assert read.health.stable_rank == pytest.approx(analysis.details["stable_rank"][0])
    assert score.slope == 0.25
    assert score.fall_from(4) == 1.0
    assert score.fall_from(6) == 0.5
    assert AlphaPruner().reason(optuna.create_study(), trial) is None


def test_losses_are_kept_beside_the_scores(network):
    """Where the loss is an objective it has a curve of its own, thinned out as the score's is."""
    state, analysis = None, wwopt.analyze(network(0.4))
    for step in range(100):
        state = update_state(state, analysis, 3.0, step, 100, loss=1.0 - step / 100)
        score, loss = state_of(trial_with(state)).curves
        assert len(score.values) == len(loss.values) <= MAX_LEVELS
        assert loss.values.tolist() == pytest.approx((1.0 - loss.steps / 100).tolist())
    assert loss.slope == pytest.approx(0.01)


def test_a_network_without_layers_is_as_bad_as_can_be():
    """Nothing that was too small to be analysed passes for healthy."""
    state = state_of(trial_with(update_state(None, wwopt.analyze({"w.weight": np.eye(4)}), 3.0, 0, None)))
    assert (state.health.unusable, state.health.stable_rank) == (1.0, 0.0)


@pytest.mark.parametrize("state", [None, {}])
def test_a_trial_without_a_state(state):
    """A trial that was never evaluated, or a retried one whose state was dropped, has none."""
    assert state_of(trial_with(state)) is None
