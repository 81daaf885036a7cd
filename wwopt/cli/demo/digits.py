"""The demo's task: a multilayer perceptron on scikit-learn's digits, 1,797 real scans of handwriting."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

if TYPE_CHECKING:
    import optuna

__all__ = ["EPOCHS", "Digits", "Trainer", "accuracy", "load", "perceptron"]

EPOCHS = 20


@dataclass(frozen=True)
class Digits:
    """Images of shape (n, 64), values in [0, 1], and their classes, 0 to 9."""

    images: torch.Tensor
    classes: torch.Tensor


def load(wrong_labels: float = 0.0) -> tuple[Digits, Digits]:
    """Split the data into 1,078 training and 719 test images; the study uses the training images only.

    ``wrong_labels`` is the share of the training images that get another class, drawn at random.
    """
    images, classes = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, classes, train_size=0.6, random_state=0, stratify=classes)
    train_images, test_images, train_classes, test_classes = (torch.as_tensor(part) for part in parts)
    draw = torch.Generator().manual_seed(0)
    count = len(train_classes)
    wrong = torch.randperm(count, generator=draw)[: round(wrong_labels * count)]
    train_classes[wrong] = (train_classes[wrong] + torch.randint(1, 10, (len(wrong),), generator=draw)) % 10
    return Digits(train_images.float(), train_classes), Digits(test_images.float(), test_classes)


@dataclass(frozen=True)
class Trainer:
    """``train(trial)`` for `AlphaObjective`: yields the network and its training loss after each epoch.

    The weights at the end, or at pruning, are saved in ``folder``: their test accuracy is measured after the study.
    """

    data: Digits
    folder: Path
    seed: int

    def __call__(self, trial: optuna.Trial) -> Iterator[tuple[nn.Module, float]]:
        """Train a network with the hyper-parameters that the trial suggests."""
        torch.manual_seed(1000 * self.seed + trial.number)
        batch_size = trial.suggest_categorical("batch_size", [32, 64, 128, 256])
        model = perceptron(trial.suggest_int("width", 64, 512, log=True), trial.suggest_float("dropout", 0.0, 0.5))
        optimizer = _optimizer(trial, model)
        try:
            for _ in range(EPOCHS):
                yield model, _epoch(model, optimizer, self.data, batch_size)
        finally:
            torch.save(model.state_dict(), self.folder / f"trial-{trial.number}.pt")


def perceptron(width: int, dropout: float = 0.0) -> nn.Sequential:
    """Three hidden layers between 64 pixels and ten classes."""
    layers = OrderedDict[str, nn.Module]()
    for index, inputs in enumerate((64, width, width), start=1):
        layers[f"hidden{index}"] = nn.Linear(inputs, width)
        layers[f"relu{index}"] = nn.ReLU()
        layers[f"dropout{index}"] = nn.Dropout(dropout)
    layers["output"] = nn.Linear(width, 10)
    return nn.Sequential(layers)


def _optimizer(trial: optuna.Trial, model: nn.Module) -> torch.optim.Optimizer:
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    weight_decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    if trial.suggest_categorical("optimizer", ["sgd", "adamw"]) == "sgd":
        return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)


def _epoch(model: nn.Module, optimizer: torch.optim.Optimizer, data: Digits, batch_size: int) -> float:
    """Train for an epoch and return the mean loss over its batches."""
    model.train()
    total = 0.0
    for batch in torch.split(torch.randperm(len(data.images)), batch_size):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data.images[batch]), data.classes[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(data.images)


def accuracy(path: Path, data: Digits) -> float:
    """Test accuracy of a saved network, in [0, 1]."""
    state = torch.load(path, weights_only=True)
    model = perceptron(width=len(state["hidden1.bias"]))
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        return float((model(data.images).argmax(1) == data.classes).float().mean())
