"""Series of networks that differ in one hyper-parameter, trained on digits, with their test errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import nn

from benchmarks.watching.networks import Digits

__all__ = ["SERIES", "Member", "Recipe", "train_series"]

TRAINING = 1200  # images; the rest is the test set
BATCH = 64


@dataclass(frozen=True)
class Recipe:
    """A perceptron and its training."""

    depth: int = 3
    width: int = 96
    epochs: int = 15
    images: int = 600
    lr: float = 2e-3


@dataclass(frozen=True)
class Member:
    """A trained network: its weights, its recipe, its test error in percent and its training loss."""

    state: dict[str, torch.Tensor]
    recipe: Recipe
    error: float
    loss: float


BASE = Recipe()
SERIES: dict[str, list[Recipe]] = {
    "depth": [replace(BASE, depth=depth) for depth in (1, 2, 3, 5, 7, 9)],
    "width": [replace(BASE, width=width) for width in (64, 80, 96, 128, 192, 256)],
    "epochs": [replace(BASE, epochs=epochs) for epochs in (1, 2, 4, 8, 15, 30)],
    "data": [replace(BASE, images=images) for images in (50, 100, 200, 400, 800, 1200)],
}


def train_series(name: str, seed: int) -> Iterator[Member]:
    """Train all members of a series; those of one seed have the same images in the same order."""
    digits = Digits.load()
    order = torch.randperm(len(digits.images), generator=torch.Generator().manual_seed(seed))
    images, classes = digits.images[order].flatten(1), digits.classes[order]
    for recipe in SERIES[name]:
        yield _train(recipe, images, classes, seed)


def _train(recipe: Recipe, images: torch.Tensor, classes: torch.Tensor, seed: int) -> Member:
    torch.manual_seed(seed)
    widths = [64, *[recipe.width] * recipe.depth]
    hidden = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(recipe.width, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr)
    seen, labels = images[: recipe.images], classes[: recipe.images]
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(seen)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(seen[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        wrong = model(images[TRAINING:]).argmax(1) != classes[TRAINING:]
        loss = float(nn.functional.cross_entropy(model(seen), labels))
    state = {name: W.clone() for name, W in model.state_dict().items()}
    return Member(state, recipe, 100 * float(wrong.float().mean()), loss)
