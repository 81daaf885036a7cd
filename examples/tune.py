"""Tune a network with Optuna on its weights alone: no validation set, no test set."""

import optuna
import torch
from sklearn.datasets import load_digits

from wwopt_objectives import AlphaObjective, AlphaPruner, load_best

EPOCHS = 10
images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16


def train(trial):
    torch.manual_seed(trial.number)
    width = trial.suggest_int("width", 64, 256)
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), classes[batch]).backward()
            optimizer.step()
        yield model  # after each epoch; the objective scores some of these models, reports to Optuna and may prune


study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
study.optimize(AlphaObjective(train, n_steps=EPOCHS), n_trials=10)

best = load_best(study)
print(f"trial {best.trial.number} of {len(study.trials)}: score {best.trial.value:.2f}, {best.trial.params}")
print(best.analysis.details[["name", "alpha", "stable_rank", "num_traps"]])
