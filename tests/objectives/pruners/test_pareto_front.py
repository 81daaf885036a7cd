"""`AlphaPruner` with two objectives, on networks that are trained: what it prunes is not of the Pareto front."""

import optuna
import pytest
import torch
from optuna.trial import TrialState
from sklearn.datasets import load_digits

from tests.support.studies import run
from wwopt_objectives import AlphaPruner

EPOCHS = 8


def train(trial):
    """A small network on digits, with the mean training loss of each epoch."""
    torch.manual_seed(trial.number)
    images, labels = (torch.as_tensor(part)[:600] for part in load_digits(return_X_y=True))
    lr, width = trial.suggest_float("lr", 1e-2, 1, log=True), trial.suggest_int("width", 64, 160)
    images = images.float() / 16
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(EPOCHS):
        losses = []
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        yield model, sum(losses) / len(losses)


def two_objectives(seed, pruner):
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=seed), pruner=pruner
    )
    return run(train, n_trials=16, study=study, n_steps=EPOCHS, with_loss=True)


@pytest.mark.slow
def test_no_trial_of_the_front_is_pruned():
    """The same 16 trials run to their end show which would have been on the front; others are pruned."""
    whole, pruned = two_objectives(2, optuna.pruners.NopPruner()), two_objectives(2, AlphaPruner())
    front = {trial.number for trial in whole.best_trials}
    stopped = {trial.number for trial in pruned.trials if trial.state == TrialState.PRUNED}
    assert len(front) >= 3
    assert stopped
    assert not front & stopped
