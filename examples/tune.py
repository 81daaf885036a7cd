"""Tune a network with Optuna, and choose by what the networks answer: no validation set, no test set."""

import optuna
import torch
from sklearn.datasets import load_digits

from wwopt_objectives import AlphaObjective, AlphaPruner, load_best, select

EPOCHS = 10
images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16


def train(trial):
    torch.manual_seed(trial.number)
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    weight_decay = trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images[batch]), classes[batch])
            loss.backward()
            optimizer.step()
        yield model, loss.item()  # each epoch; the objective scores some of these, reports to Optuna and may prune


study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
study.optimize(AlphaObjective(train, n_steps=EPOCHS, inputs=images), n_trials=10)

chosen = select(study)
print(chosen.reason)
print(f"trial {chosen.number} of {len(study.trials)}: score {chosen.value:.2f}, {chosen.params}")
best = load_best(study)
print(best.analysis.details[["name", "alpha", "stable_rank", "num_traps"]])
