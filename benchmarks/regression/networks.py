"""Small networks on scikit-learn's digits, trained by torch alone: no checkout has a say in them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from torch import nn

__all__ = ["cnn", "digits", "perceptron", "train"]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of shape (1797, 1, 8, 8), values in [0, 1], and their classes."""
    images, classes = load_digits(return_X_y=True)
    return torch.as_tensor(images / 16).float().reshape(-1, 1, 8, 8), torch.as_tensor(classes)


def cnn() -> nn.Sequential:
    """Three convolutions and two linear layers; the first and the last are too small to be analysed."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1024, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def perceptron(width: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def train(model: nn.Module, *, lr: float, epochs: int, seed: int) -> Iterator[tuple[nn.Module, float]]:
    """Train by momentum in batches of 128; the network and its mean training loss after each epoch."""
    images, classes = digits()
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(images), generator=order).split(128):
            loss = nn.functional.cross_entropy(model(images[batch]), classes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(batch) * loss.item()
        yield model, total / len(images)
