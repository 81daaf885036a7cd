"""Whether outputs are classes or values, told by how they move together."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from wwopt.consensus.columns import kind_of_columns

IMAGES = torch.as_tensor(load_digits().data / 16, dtype=torch.float32)
CLASSES = torch.as_tensor(load_digits().target)


def outputs(targets, loss, count, steps, seed):
    """Outputs of a perceptron that learned these targets."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, count))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(IMAGES), targets).backward()
        optimizer.step()
    with torch.no_grad():
        return model(IMAGES[:512]).double().numpy()


@pytest.fixture(scope="module")
def logits():
    return [outputs(CLASSES, nn.functional.cross_entropy, 10, steps, steps) for steps in (5, 20, 60, 80)]


def test_a_classifier_is_told_from_a_regression(logits):
    """Classes hardly move together, the lower half of an image does."""
    pixels = [outputs(IMAGES[:, 32:], nn.functional.mse_loss, 32, steps, steps) for steps in (5, 20, 60, 80)]
    assert kind_of_columns(logits) == "classes"
    assert kind_of_columns(pixels) == "values"
    assert kind_of_columns([one.reshape(64, 8, -1) for one in pixels]) == "values"


def test_other_losses_of_classes():
    """One class against the rest, a margin, and squares of the distance to the class's corner."""
    corners = nn.functional.one_hot(CLASSES, 10).float()
    for loss, targets in (
        (nn.functional.binary_cross_entropy_with_logits, corners),
        (nn.functional.multi_margin_loss, CLASSES),
        (nn.functional.mse_loss, corners),
    ):
        assert kind_of_columns([outputs(targets, loss, 10, steps, steps) for steps in (60, 80, 120)]) == "classes"


def test_probabilities_and_their_logarithms_are_classes(logits):
    """Logarithms move together, the surer a network is, and still are of probabilities."""
    shares = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]
    assert kind_of_columns(shares) == "classes"
    assert kind_of_columns([np.log(one) for one in shares]) == "classes"


def test_too_few_columns_tell_nothing():
    """Two outputs, or outputs that are all alike, count as classes."""
    assert kind_of_columns([np.random.default_rng(0).normal(size=(50, 2))]) == "classes"
    assert kind_of_columns([np.ones((50, 5))]) == "classes"
    assert kind_of_columns([]) == "classes"
