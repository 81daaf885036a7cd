"""What `train` may return or yield."""

import optuna
import pytest
import torch
from optuna.trial import TrialState

from wwopt_objectives import AlphaObjective


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "`train` must return a model .* got None; is a `return` or `yield` missing"),
        (3.5, "`train` must return a model .* got float"),
        ((1, 2, 3), r"got \(int, int, int\)"),
        ((torch.nn.Linear(64, 64), "low"), "The `train_loss` beside the model must be a number"),
    ],
)
def test_the_wrong_result_is_named(result, message):
    """What `train` gives back is checked, and the error says what it was."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(TypeError, match=message):
        study.optimize(AlphaObjective(lambda _: result, artifact_store=False), n_trials=1)
    assert study.trials[0].state == TrialState.FAIL
    assert all(value > 0 for value in study.trials[0].constraints.values())


def test_a_generator_without_a_model():
    """A training that yields nothing is an error that says so."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ValueError, match="`train` yielded nothing"):
        study.optimize(AlphaObjective(lambda _: iter(()), artifact_store=False), n_trials=1)
