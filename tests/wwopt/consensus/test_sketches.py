"""Sketches: small, telling twins from networks that only answer alike; and what outputs claim to know."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wwopt.consensus import sketch
from wwopt.consensus.skill import entropies, label_kappa, loss_of_constant, shared_spread
from wwopt.consensus.twins import claims, twins


@pytest.mark.parametrize("shape", [(512, 10), (512, 1), (512,), (40, 100, 96), (2, 3), (600, 5000)])
def test_sketch_is_small(shape):
    """At most four kilobytes, whatever the outputs."""
    found = sketch(np.random.default_rng(0).normal(size=shape))
    assert found.dtype == np.float16
    assert 2 < found.nbytes <= 4096


def test_twins_are_told_from_networks_that_answer_alike():
    """Copies with noise are twins at any scale; outputs with the same answers are not."""
    rng = np.random.default_rng(0)
    answers = 4 * np.eye(10)[rng.integers(10, size=512)]
    one, other = (answers + rng.normal(size=answers.shape) for _ in range(2))
    assert (one.argmax(axis=1) == other.argmax(axis=1)).mean() > 0.95
    found = twins([sketch(x) for x in (one, 5 * one + 3, one + 0.02 * rng.normal(size=one.shape), other)])
    assert found.sum(axis=1).tolist() == [3, 3, 3, 1]


def test_no_sketch_of_what_is_not_finite():
    """Nor is a network without one anybody's twin; outputs that are all alike claim to know nothing."""
    broken = np.ones((20, 3))
    broken[0, 0] = np.inf
    assert sketch(broken).size == 0
    constant = sketch(np.ones((20, 3)))
    assert claims([constant])[0] == pytest.approx([math.log(3)], abs=1e-3)
    assert np.array_equal(twins([constant, constant, None, sketch(broken)]), np.eye(4, dtype=bool))
    assert np.isnan(claims([None])[0]).all()


def test_calibrated_outputs_claim_the_loss_that_they_have():
    """Of outputs that err as often as they say, the mean entropy is the loss; of probabilities, too."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=4000)
    sure = np.where(rng.random((4000, 1)) < 0.3, 1.0, 4.0)
    logits = sure * (np.eye(10)[labels])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (shares.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    loss = -np.log(shares[np.arange(4000), drawn]).mean()
    assert entropies(logits)[1] == pytest.approx(loss, abs=0.05)
    assert entropies(shares) == pytest.approx(entropies(logits))
    assert entropies(np.log(shares)) == pytest.approx(entropies(logits))


def test_mean_prediction_tells_the_loss_of_a_constant():
    """Of calibrated outputs its entropy is that of the labels, whether they are frequent alike or not."""
    frequencies = np.array([0.7, 0.2, 0.05, 0.05])
    labels = np.random.default_rng(0).choice(4, size=5000, p=frequencies)
    entropy = -(frequencies * np.log(frequencies)).sum()
    for logits in (30 * np.eye(4)[labels], np.tile(np.log(frequencies), (5000, 1))):
        assert claims([sketch(logits)])[1] == pytest.approx(entropy, abs=0.03)


def test_entropies_at_their_ends():
    """All inputs alike: nothing is known; all sure: everything; one output is a logit of two classes."""
    whole, mean = entropies(np.tile([5.0, 1.0], (9, 1)))
    assert whole == pytest.approx(mean)
    assert entropies(np.array([-50.0, 50.0] * 8)[:, None]) == pytest.approx((math.log(2), 0))
    assert np.isnan(entropies(np.array([[np.nan, 1.0]]))).all()


@pytest.mark.parametrize("classes", [2, 5, 10, 1000])
def test_label_kappa_inverts_the_entropy(classes):
    """The agreement with the labels of networks that are equally sure of all answers, and right to be."""
    error = np.array([0.0, 0.05, 0.2, 0.4])
    entropy = np.array([0.0, *(-(p * math.log(p) + (1 - p) * math.log(1 - p)) + p * math.log(classes - 1)
                                for p in error[1:])])  # fmt: skip
    expected = 1 - error * classes / (classes - 1)
    np.testing.assert_allclose(label_kappa(entropy, math.log(classes)), expected, atol=2e-3)
    assert label_kappa(np.array([math.log(classes), 99.0]), math.log(classes)) == pytest.approx([0, 0], abs=1e-6)


def test_loss_of_constant():
    """The least of the constants' losses, the entropy of the classes at most, and the largest loss without either."""
    losses = np.array([0.2, 1.9, 2.4, 1e4])
    none = np.zeros(4, dtype=bool)
    assert loss_of_constant(losses, np.array([False, True, True, True]), math.log(10)) == 1.9
    assert loss_of_constant(losses, np.array([False, False, False, True]), math.log(10)) == pytest.approx(math.log(10))
    assert loss_of_constant(losses, none, None) == 1e4
    assert loss_of_constant(losses + 5, none, math.log(10)) == 1e4 + 5  # of another kind: no cross-entropy is so large


def test_shared_spread_orders_by_what_is_explained():
    """Wide answers along the others' are good; wide ones of one's own, and exploded ones, are not."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3))
    values = np.stack(
        [
            0.9 * truth,
            0.6 * truth,
            0.3 * truth,
            0.9 * rng.normal(size=truth.shape),
            1e6 * rng.normal(size=truth.shape),
            0 * truth,
        ]
    )
    found = shared_spread(values, np.ones(6))
    assert found[0] > found[1] > found[2] > found[3]
    assert abs(found[4]) < 1e-3
    assert found[5] == 0
