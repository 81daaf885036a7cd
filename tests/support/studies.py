"""Short studies of `AlphaObjective`."""

import numpy as np
import optuna
import torch

from wwopt_objectives import AlphaObjective, AlphaPruner


def run(train, n_trials=1, storage=None, study=None, **options):
    """A study of ``n_trials`` trials; what a training raises fails its trial and the study goes on."""
    options = {"artifact_store": False, **options}
    study = study or optuna.create_study(
        direction="minimize", storage=storage, pruner=options.pop("pruner", AlphaPruner())
    )
    study.optimize(AlphaObjective(train, **options), n_trials=n_trials, catch=(Exception,))
    return study


def two_directions(train, n_trials=1, **options):
    """A study of score and training loss."""
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=AlphaPruner())
    study.optimize(AlphaObjective(train, with_loss=True, **options), n_trials=n_trials)
    return study


class Student(torch.nn.Module):
    """A sound layer, and a head that answers ten classes nearly as its teacher does, the less so the more noise."""

    def __init__(self, noise=0.0, seed=0, decay=0.5, classes=10):
        super().__init__()
        left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=(64, 64)))
        self.layer = torch.nn.Linear(64, 64, bias=False)
        self.head = torch.nn.Linear(64, classes, bias=False)
        draw = np.random.default_rng([seed, 1])
        with torch.no_grad():
            self.layer.weight.copy_(torch.as_tensor(left * (1.0 + np.arange(64)) ** -decay @ right))
            teacher = np.random.default_rng(5).normal(size=(classes, 64))
            self.head.weight.copy_(torch.as_tensor(teacher + noise * draw.normal(size=(classes, 64))))

    def forward(self, inputs):
        return self.head(inputs)


def questions(count=200, seed=3):
    """Inputs for students."""
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
