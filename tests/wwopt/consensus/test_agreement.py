"""`wwopt.agreement`: what it is at its ends, and what leaves it unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

import wwopt


def crowd(rights, inputs=400, classes=5, seed=0):
    """Class numbers of networks that are right so often, and answer by chance elsewhere; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=inputs)
    by_chance = rng.integers(classes, size=(len(rights), inputs))
    right = rng.random((len(rights), inputs)) < np.array(rights)[:, None]
    return np.where(right, truth, by_chance), truth


def regressions(noises, inputs=200, outputs=3, seed=0):
    """Values of networks that add so much noise to the same truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(inputs, outputs))
    return truth + np.array(noises)[:, None, None] * rng.normal(size=(len(noises), inputs, outputs))


def test_orders_networks_by_how_often_they_are_right():
    """The more often a network is right, the more it agrees with the others."""
    answers, _ = crowd([0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.0])
    found = wwopt.agreement(answers)
    assert (np.diff(found) < 0).all()
    assert abs(found[-1]) < 0.1  # by chance


def test_equals_cohens_kappa_with_the_only_other():
    """Of two networks, each is judged by the other: Cohen's kappa, as scikit-learn has it."""
    answers, _ = crowd([0.7, 0.5])
    expected = cohen_kappa_score(*answers)
    np.testing.assert_allclose(wwopt.agreement(answers), expected)


def test_equals_cohens_kappa_with_the_weighted_vote_of_the_others():
    """Of several, each is judged by the weighted vote of the others."""
    answers, _ = crowd([0.7, 0.5, 0.6, 0.4])
    weights = np.array([1.0, 2.5, 1.7, 0.3])
    for network, found in enumerate(wwopt.agreement(answers, weights)):
        others = [other for other in range(4) if other != network]
        counts = np.stack([((answers[others] == c) * weights[others, None]).sum(axis=0) for c in range(5)])
        assert found == pytest.approx(cohen_kappa_score(answers[network], counts.argmax(axis=0)))


def test_shares_a_tied_vote():
    """Two against two on an input: half an agreement for each, whatever the numbers of the classes."""
    one = wwopt.agreement(np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0, 1]]))
    other = wwopt.agreement(1 - np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0, 1]]))
    np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("answers", [crowd([0.9, 0.7, 0.5, 0.5])[0], regressions([0.1, 0.3, 1.0, 2.0])])
def test_order_of_networks_and_inputs_is_no_matter(answers):
    """Networks in another order have the same agreements in that order, and inputs in another order change nothing."""
    weights = np.array([1.0, 0.5, 2.0, 1.0])
    order = np.array([2, 0, 3, 1])
    kind = "values" if answers.ndim == 3 else "classes"
    found = wwopt.agreement(answers, weights, kind=kind)
    np.testing.assert_allclose(wwopt.agreement(answers[order], weights[order], kind=kind), found[order])
    shuffled = np.random.default_rng(1).permutation(answers.shape[1])
    np.testing.assert_allclose(wwopt.agreement(answers[:, shuffled], weights, kind=kind), found)


def test_names_of_classes_are_no_matter():
    """Classes under other numbers agree alike."""
    answers, _ = crowd([0.9, 0.7, 0.5])
    renamed = np.array([40, 3, 100_000, 17, 0])[answers]
    np.testing.assert_allclose(wwopt.agreement(renamed), wwopt.agreement(answers))


def test_logits_are_classes_by_their_largest():
    """Several outputs are classes; class numbers, and maps with positions, say the same."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 60, 3)) + 2 * rng.normal(size=(60, 3))
    found = wwopt.agreement(logits)
    np.testing.assert_allclose(wwopt.agreement(logits.argmax(axis=-1)), found)
    np.testing.assert_allclose(wwopt.agreement(logits.reshape(4, 6, 10, 3)), found)
    np.testing.assert_allclose(wwopt.agreement(list(logits.astype(np.float32))), found, atol=1e-6)


def test_one_output_is_a_value_unless_it_is_said_to_be_a_class():
    """One floating-point output is a value; as a class, its sign counts."""
    logits = np.random.default_rng(0).normal(size=(3, 50, 1)) + np.linspace(-2, 2, 50)[:, None]
    assert not np.allclose(wwopt.agreement(logits), wwopt.agreement(logits, kind="classes"))
    np.testing.assert_allclose(wwopt.agreement(logits[..., 0]), wwopt.agreement(logits))
    np.testing.assert_allclose(
        wwopt.agreement(logits, kind="classes"), wwopt.agreement((logits[..., 0] > 0).astype(int))
    )


def test_value_of_the_others_mean_is_explained_in_full():
    """A network that answers the mean of the others has agreement 1; a constant one has 0."""
    values = regressions([0.2, 0.4, 0.8])
    mean = np.average(values, axis=0, weights=[1.0, 2.0, 3.0])
    answers = np.concatenate([values, mean[None], np.full_like(mean, 0.5)[None]])
    found = wwopt.agreement(answers, [1, 2, 3, 0, 0], kind="values")
    assert found[3] == pytest.approx(1)
    assert found[4] == 0
    assert found[0] > found[2]


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_constant_answers_have_no_agreement(kind):
    """A crowd of constants agrees on nothing, whether it is all there is or the majority."""
    constant = np.zeros((6, 50, 4))
    constant[..., 1] = 1.0
    assert (wwopt.agreement(constant, kind=kind) == 0).all()
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 4))
    mixed = np.concatenate([constant, truth + 0.1 * rng.normal(size=(2, 50, 4))])
    assert (wwopt.agreement(mixed, kind=kind)[:6] == 0).all()


def test_weight_zero_has_no_vote():
    """Networks of weight 0 move nobody's agreement but their own, and are judged."""
    good, _ = crowd([0.9, 0.8, 0.7])
    bad = np.repeat(crowd([0.0], seed=1)[0], 20, axis=0)
    found = wwopt.agreement(np.concatenate([good, bad]), [1.0] * 3 + [0.0] * 20)
    np.testing.assert_allclose(found[:3], wwopt.agreement(good))
    assert (np.abs(found[3:]) < 0.1).all()
    assert (wwopt.agreement(np.concatenate([good, bad]))[3:] > 0.9).all()  # with a vote, they are the crowd


@pytest.mark.parametrize("answers", [crowd([0.9, 0.7, 0.5])[0], regressions([0.1, 0.3, 1.0])])
def test_network_without_answers_has_no_vote(answers):
    """One that was not asked, or whose answer is not finite, has agreement 0 and moves nobody's."""
    kind = "values" if answers.ndim == 3 else "classes"
    found = wwopt.agreement([*answers, None], kind=kind)
    np.testing.assert_allclose(found[:3], wwopt.agreement(answers, kind=kind))
    assert found[3] == 0
    if answers.dtype.kind == "f":
        broken = answers[:1].copy()
        broken[0, 5] = np.nan
        again = wwopt.agreement(np.concatenate([answers, broken]), kind=kind)
    else:
        again = wwopt.agreement(np.concatenate([answers, np.full_like(answers[:1], -1)]))
    np.testing.assert_allclose(again, found)


def test_logit_that_is_ruled_out_is_no_broken_answer():
    """Minus infinity rules a class out; NaN and infinity are no answers."""
    logits = np.random.default_rng(0).normal(size=(4, 50, 3)) + 3 * np.eye(3)[np.arange(50) % 3]
    ruled_out = np.where(logits < -1, -np.inf, logits)
    np.testing.assert_allclose(wwopt.agreement(ruled_out), wwopt.agreement(logits))
    for bad in (np.nan, np.inf):
        broken = logits.copy()
        broken[0, 3, 1] = bad
        assert wwopt.agreement(broken)[0] == 0


def test_thousands_of_classes_and_positions():
    """Many classes, and sequences whose positions are sampled, need no table of all classes by all inputs."""
    answers, _ = crowd([0.9, 0.6, 0.3], inputs=60_000, classes=50_000)
    found = wwopt.agreement(answers.reshape(3, 300, 200))
    np.testing.assert_allclose(found, [0.405, 0.36, 0.225], atol=0.03)  # two others that differ share the vote


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1], [0, 1, 2]],), "one shape for all networks"),
        (([None, None],), "at least one network"),
        (([[0, 1], [1, 1]], [1.0]), "one number for each of 2 networks"),
        (([[0, 1], [1, 1]], [1.0, -1.0]), "finite and at least 0"),
        (([[0, 1], [1, 1]], None, "labels"), "`kind` must be one of auto, classes, values, got 'labels'"),
        ((np.zeros((3, 0, 2)),), r"shape \(networks, inputs, outputs\)"),
    ],
)
def test_errors_say_what_is_wrong(arguments, message):
    """Each error names the argument and the rule."""
    with pytest.raises(ValueError, match=message):
        wwopt.agreement(*arguments)
