"""The same function, the same score: units are rescaled, and networks are drawn and constructed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from benchmarks.selection.constructions import ARCHITECTURES, KINDS, construct, rescaled, scores
from wwopt.score.learned import learned_share


@pytest.fixture(scope="module")
def perceptron():
    """A network that learned digits for a moment."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    model = ARCHITECTURES["perceptron"].build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.float() / 16), classes).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rescaling_units_moves_no_score(name):
    """The answers stay, and so do all scores; in a state dict those of networks without layer norms."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    model = architecture.build().eval()
    other = rescaled(model, architecture, 0.5, np.random.default_rng(1))
    x = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        assert other(x).numpy() == pytest.approx(model(x).numpy(), abs=1e-3)
    before, after = scores(model), scores(other)
    kept = [key for key in before if name != "transformer" or "state dict" not in key]
    assert [after[key] for key in kept] == pytest.approx([before[key] for key in kept], rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_what_never_saw_data_loses(kind, perceptron):
    """A network of each kind has worse scores than one that was trained for a moment."""
    good = scores(perceptron)
    model, _ = construct(kind, ARCHITECTURES["perceptron"], np.random.default_rng(7))
    for name, value in scores(model).items():
        assert value > good[name]


def test_the_last_layer_at_another_scale_earns_nothing(perceptron):
    """Times 0.01 the network answers the same class, and has the same scores."""
    scaled = copy.deepcopy(perceptron)
    with torch.no_grad():
        scaled[-1].weight.mul_(0.01)
        scaled[-1].bias.mul_(0.01)
    before, after = scores(perceptron), scores(scaled)
    assert list(after.values()) == pytest.approx(list(before.values()), rel=0.02)


def test_what_was_learned_is_shared(perceptron):
    """All of a trained network's, nothing of a drawn one's; an older analysis, which does not tell, counts in full."""
    assert learned_share(wwopt.analyze(perceptron)) == 1
    assert learned_share(wwopt.analyze(ARCHITECTURES["perceptron"].build())) == 0
    assert learned_share(wwopt.analyze(ARCHITECTURES["perceptron"].build(), invariant=False)) == 1


def test_an_identity_layer_is_judged_by_its_rank():
    """It has no power law, and is not broken: the alignment takes it as it is."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    with torch.no_grad():
        model[2].weight.copy_(torch.eye(64))
    score = wwopt.AlignmentScore()
    assert score(wwopt.analyze(model, alignment=True)) < score.maximum
