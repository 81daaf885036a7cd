"""Studies in which what trains is not what is analysed."""

import logging

import optuna
import pytest
import torch

from tests.support.studies import run

BATCH = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(64) % 10


class Adapted(torch.nn.Module):
    """A frozen layer with an adapter of rank four beside it, which is merged nowhere."""

    def __init__(self):
        super().__init__()
        self.base = torch.nn.Linear(64, 64).requires_grad_(False)
        self.down, self.up = torch.nn.Linear(64, 4, bias=False), torch.nn.Linear(4, 64, bias=False)
        self.head = torch.nn.Linear(64, 10)

    def forward(self, inputs):
        return self.head(self.base(inputs) + self.up(self.down(inputs)))


def frozen_backbone():
    backbone = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))
    return torch.nn.Sequential(backbone.requires_grad_(False), torch.nn.Linear(64, 10))


def network_that_trains():
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


def steps(build, trial):
    """A training of two steps; all trials begin with the same weights."""
    torch.manual_seed(0)
    model = build()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=trial.suggest_float("lr", 0.01, 0.1))
    for _ in range(2):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(BATCH), LABELS)
        loss.backward()
        optimizer.step()
        yield model, loss.item()


def warnings_of(train, caplog, **options):
    """What the logger said during a study of three trials."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="minimize", sampler=sampler, pruner=optuna.pruners.NopPruner())
    with caplog.at_level(logging.WARNING, logger="wwopt"):
        run(train, n_trials=3, study=study, **options)
    assert all(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("build", [frozen_backbone, Adapted])
def test_a_training_that_changes_nothing_analysed(caplog, build):
    """A frozen backbone with a trained head, or a frozen base with adapters: said once, at the second evaluation."""
    (message,) = warnings_of(lambda trial: steps(build, trial), caplog, every=1)
    assert message.startswith("No analysed layer changed from step 0 to 1 of trial 0")
    assert "`include`" in message


@pytest.mark.parametrize("build", [frozen_backbone, Adapted])
def test_trials_that_are_all_the_same(caplog, build):
    """With one evaluation a trial, the third trial shows it."""
    (message,) = warnings_of(lambda trial: list(steps(build, trial))[-1], caplog)
    assert message.startswith("All 3 finished trials of")
    assert "the same analysed weights" in message


@pytest.mark.parametrize("returned", [False, True])
def test_a_training_that_changes_what_is_analysed(caplog, returned):
    """Nothing is said of it."""
    train = lambda trial: steps(network_that_trains, trial)  # noqa: E731
    assert warnings_of((lambda trial: list(train(trial))[-1]) if returned else train, caplog, every=1) == []


def test_the_same_parameters_give_the_same_weights(caplog, network):
    """Trials that were run again as they were are no reason to warn."""
    assert warnings_of(lambda _: network(), caplog) == []


def test_broken_networks_are_no_reason_to_warn(caplog):
    """Networks whose biases are not finite are judged by these, whatever their layers have in common."""

    def train(trial):
        trial.suggest_float("lr", 0.01, 0.1)
        torch.manual_seed(0)
        model = network_that_trains()
        with torch.no_grad():
            model[0].bias.fill_(torch.nan)
        return model

    assert warnings_of(train, caplog) == []


def test_the_advice_helps(caplog):
    """Once the head is analysed, each training has a score of its own."""
    options = {"analyze_options": {"include": ["1"], "min_evals": 10}}
    assert warnings_of(lambda trial: steps(frozen_backbone, trial), caplog, every=1, **options) == []
