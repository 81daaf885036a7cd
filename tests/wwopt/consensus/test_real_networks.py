"""Real networks on scikit-learn's digits: the vote against the training loss."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from wwopt.consensus import choose, sketch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Stochastic Optimizer")]
# Width, weight decay and passes over the data: from hardly trained to memorised.
SETTINGS = [(32, 1e-4, 2), (32, 1e-4, 6), (64, 1e-4, 12), (64, 5.0, 40), (64, 10.0, 60), (128, 3.0, 60), (96, 1e-4, 20),
            (128, 1e-4, 60), (256, 1e-4, 80), (256, 0.0, 120), (128, 0.0, 120), (96, 0.1, 120)]  # fmt: skip


@pytest.fixture(scope="module", params=[0.0, 0.4], ids=["clean", "wrong"])
def digits(request):
    """Logits on the training images, training losses, given labels and accuracies on other images."""
    images, truth = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(truth))
    images, truth = images[order] / 16, truth[order]
    given = truth[:700].copy()
    wrong = rng.permutation(700)[: round(700 * request.param)]
    given[wrong] = (given[wrong] + rng.integers(1, 10, len(wrong))) % 10
    logits, losses, accuracy = [], [], []
    for seed, (width, decay, passes) in enumerate(SETTINGS):
        network = MLPClassifier((width, width), alpha=decay, max_iter=passes, random_state=seed, n_iter_no_change=1000)
        network.fit(images[:700], given)
        shares = np.log(np.maximum(network.predict_proba(images[:700]), 1e-12))
        logits.append(shares[:512])
        losses.append(-shares[np.arange(700), given].mean())
        accuracy.append(network.score(images[700:], truth[700:]))
    return np.stack(logits), np.array(losses), given[:512], np.array(accuracy), request.param


def test_choice_loses_little(digits):
    """On clean labels as little as the loss, on wrong ones a fraction of it; with losses and without."""
    logits, losses, labels, accuracy, wrong = digits
    lost = 100 * (accuracy.max() - accuracy)
    for given in (losses, None):
        verdict = choose(logits, losses=given, labels=labels)
        assert lost[verdict.order[0]] < 3
        if wrong:
            assert lost[losses.argmin()] > 10
            assert verdict.excess > 0.1
        else:
            assert verdict.excess < 0.05


def test_twins_of_a_mediocre_network_lose(digits):
    """Eight copies with slightly other weights are told by their outputs."""
    logits, losses, _, accuracy, _ = digits
    middle = int(np.argsort(accuracy)[len(accuracy) // 3])
    rng = np.random.default_rng(0)
    copies = logits[middle] + 0.02 * rng.normal(size=(8, *logits[middle].shape))
    verdict = choose(np.concatenate([logits, copies]), losses=np.concatenate([losses, np.full(8, losses[middle])]))
    assert verdict.order[0] < 12
    assert verdict.order[0] != middle


def test_seeds_of_one_recipe_are_no_twins(digits):
    """Networks that were trained apart are not taken for copies."""
    logits = digits[0]
    marks = np.stack([np.asarray(sketch(one), dtype=float)[2:] for one in logits])
    correlation = marks @ marks.T
    assert correlation[np.triu_indices(12, 1)].max() < 0.995
