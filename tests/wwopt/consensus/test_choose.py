"""`choose`: whom it chooses, whom never, and when it says that nobody can tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.wwopt.consensus.crowds import Crowd
from wwopt.consensus import choose, sketch

GOOD = [0.97, 0.95, 0.93, 0.9, 0.86, 0.8, 0.7, 0.5, 0.3]
LEARNT = {"knows": [0.93, 0.91, 0.9, 0.87, 0.8, 0.7, 0.7, 0.68, 0.65, 0.6],
          "memorises": [0.0, 0.0, 0.02, 0.05, 0.0, 0.95, 0.9, 0.99, 0.8, 0.99]}  # fmt: skip


def wrong_labels(share=0.4):
    """A crowd of which half has memorised its labels, the wrong ones too."""
    return Crowd(**LEARNT, wrong=share)


def test_orders_by_merit_where_labels_are_right():
    """On right labels agreement and loss order networks alike, and it says so."""
    crowd = Crowd(GOOD)
    verdict = choose(crowd.answers, losses=crowd.losses)
    assert verdict.order == tuple(range(9))
    assert verdict.can_tell
    assert verdict.rung == "inputs and loss"
    assert verdict.excess < 0.05
    assert "labels look right" in verdict.reason


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_memorisers_of_wrong_labels_do_not_win(share):
    """Their loss is the least, and their votes do not count."""
    crowd = wrong_labels(share)
    verdict = choose(crowd.answers, losses=crowd.losses, labels=crowd.labels)
    assert crowd.losses.argmin() in {7, 9}
    assert verdict.order[0] in {0, 1, 2}
    assert verdict.excess > 0.09
    assert verdict.contradiction == pytest.approx(share, abs=0.08)
    assert (verdict.votes[[7, 9]] < 0.1 * verdict.votes[0]).all()
    assert "labels look wrong" in verdict.reason
    if share > 0.3:
        assert {7, 9} <= set(verdict.no_vote)


def test_what_outputs_claim_stands_in_for_losses():
    """Without a loss, raw outputs choose as well; class numbers alone are weighted by the scores."""
    crowd = wrong_labels()
    verdict = choose(crowd.logits)
    assert verdict.rung == "inputs"
    assert verdict.order[0] in {0, 1, 2}
    clean = Crowd(GOOD)
    assert choose(clean.logits).order[0] == 0
    by_score = choose(clean.answers, scores=-clean.quality)
    assert by_score.order[:6] == tuple(range(6))
    assert by_score.can_tell


def test_losses_of_training_mode_are_no_sign_of_wrong_labels():
    """A loss with dropout says too little of networks; outputs that are sure of their answers speak for them."""
    crowd = Crowd(GOOD)
    dropout = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0])
    assert choose(crowd.answers, losses=crowd.losses + dropout).excess > 0.05
    assert choose(crowd.logits, losses=crowd.losses + dropout).excess < 0.05


def test_order_of_networks_is_no_matter():
    """Networks in another order are chosen alike."""
    crowd = wrong_labels()
    shuffle = np.random.default_rng(3).permutation(10)
    verdict = choose(crowd.answers, losses=crowd.losses)
    again = choose(crowd.answers[shuffle], losses=crowd.losses[shuffle])
    assert [int(shuffle[i]) for i in again.order] == list(verdict.order)
    np.testing.assert_allclose(again.values, verdict.values[shuffle])
    np.testing.assert_allclose(again.votes, verdict.votes[shuffle])


def test_labels_feed_the_meter_alone():
    """Shuffled labels, or none, change the contradiction and nothing else."""
    for crowd in (Crowd(GOOD), wrong_labels()):
        shuffled = np.random.default_rng(0).permutation(crowd.labels)
        one, other, none = (
            choose(crowd.answers, losses=crowd.losses, labels=labels) for labels in (crowd.labels, shuffled, None)
        )
        assert other.contradiction > 0.8
        assert one.contradiction < 0.45
        assert none.contradiction is None
        assert one.order == other.order == none.order
        assert one.reason == other.reason == none.reason
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.values, none.values)


@pytest.mark.parametrize("with_loss", [True, False])
def test_collapsed_crowd_does_not_win(with_loss):
    """Twelve constants and six networks: the constants agree with each other, and neither vote nor win."""
    crowd = Crowd(GOOD[:6])
    answers = np.concatenate([np.full((12, 512), 3), crowd.answers])
    losses = np.concatenate([np.full(12, math.log(10)), crowd.losses])
    verdict = choose(answers, losses=losses if with_loss else None)
    assert verdict.order[0] == 12
    assert (verdict.agreement[:12] == 0).all()
    assert (verdict.votes[:12] == 0).all()
    assert set(verdict.no_vote) == set(range(12))


def test_collapsed_to_few_classes_does_not_win():
    """Networks that answer two of ten classes alike are no sign of wrong labels, and do not win."""
    crowd = Crowd(GOOD[:6])
    rng = np.random.default_rng(0)
    halves = np.where(rng.random((12, 512)) < 0.97, crowd.truth // 5, rng.integers(2, size=(12, 512)))
    verdict = choose(np.concatenate([halves, crowd.answers]), losses=[1.7] * 12 + list(crowd.losses))
    assert verdict.order[:3] == (12, 13, 14)
    assert verdict.excess < 0.05


def test_planted_twins_share_one_vote():
    """Twelve copies of a mediocre network agree perfectly, and do not win."""
    crowd = wrong_labels()
    logits = crowd.logits
    rng = np.random.default_rng(0)
    copies = logits[4] + 0.002 * rng.normal(size=(12, *logits[4].shape))
    losses = np.concatenate([crowd.losses, np.full(12, crowd.losses[4])])
    verdict = choose(np.concatenate([logits, copies]), losses=losses)
    assert verdict.order[0] in {0, 1, 2, 3}
    assert verdict.votes[10:].sum() + verdict.votes[4] == pytest.approx(verdict.votes[0], rel=0.3)
    blind = choose(np.concatenate([logits, copies]).argmax(axis=-1), losses=losses)
    assert blind.order[0] >= 10 or blind.order[0] == 4  # told by classes alone they would win


def test_sketches_tell_twins_of_class_numbers():
    """A study keeps class numbers and sketches: as good as the raw outputs."""
    crowd = wrong_labels()
    logits = np.concatenate([crowd.logits, crowd.logits[4] + np.zeros((12, 1, 1))])
    losses = np.concatenate([crowd.losses, np.full(12, crowd.losses[4])])
    raw = choose(logits, losses=losses)
    kept = choose(logits.argmax(axis=-1), losses=losses, sketches=[sketch(one) for one in logits])
    assert kept.order == raw.order
    np.testing.assert_allclose(kept.values, raw.values)


def test_one_good_network_among_many_mediocre_ones():
    """A crowd that lags agrees less with the one that is ahead than with itself; the loss tells that it is ahead."""
    crowd = Crowd([0.97, *np.linspace(0.45, 0.6, 11)])
    verdict = choose(crowd.answers, losses=crowd.losses)
    assert verdict.order[0] == 0
    assert choose(crowd.logits).order[0] == 0


def test_says_so_where_all_fit_everything():
    """Networks that fit all and agree on it cannot be told apart: the loss chooses among them."""
    crowd = Crowd([1.0] * 8 + [0.8, 0.6])
    losses = np.array([0.03, 0.01, 0.02, 0.005, 0.03, 0.02, 0.04, 0.02, 0.9, 1.5])
    verdict = choose(crowd.answers, losses=losses)
    assert not verdict.can_tell
    assert verdict.order[0] == 3
    assert (
        verdict.reason
        == "8 of 10 competent networks fit everything, and agree on it; chosen among them by the training loss."
    )


def test_says_so_where_the_vote_lacks_classes():
    """A crowd that answers three of ten classes has not learned what a network knows: the loss chooses."""
    crowd = Crowd([0.95])
    rng = np.random.default_rng(0)
    lagging = np.where(rng.random((9, 512)) < 0.95, crowd.truth % 3, rng.integers(3, size=(9, 512)))
    verdict = choose(np.concatenate([crowd.answers, lagging]), losses=[0.3, *np.linspace(1.55, 1.7, 9)])
    assert not verdict.can_tell
    assert verdict.order[0] == 0
    assert "7 of the classes that a competent network answers; chosen by the training loss" in verdict.reason


@pytest.mark.parametrize("count", [1, 2, 4])
def test_says_so_of_few_networks(count):
    """Fewer than five sound networks: the training loss, else the score, else agreement all the same."""
    crowd = Crowd(GOOD[:count])
    losses = np.linspace(0.5, 0.1, count)
    verdict = choose(crowd.answers, losses=losses)
    assert not verdict.can_tell
    assert verdict.order[0] == count - 1
    assert verdict.reason == f"Only {count} sound networks were asked, fewer than 5; chosen by the training loss."
    assert "by the score" in choose(crowd.answers, scores=losses).reason
    assert "nothing else is known" in choose(crowd.answers).reason


def test_unsound_networks_neither_vote_nor_win():
    """What the diagnosis rules out comes last, in the order of losses or else scores, however well it answers."""
    crowd = Crowd(GOOD)
    sound = np.array([False, True, True, False, True, True, True, True, True])
    verdict = choose(crowd.answers, losses=crowd.losses, sound=sound, scores=[2.0, 0, 0, 1.0, 0, 0, 0, 0, 0])
    assert verdict.order[0] == 1
    assert verdict.order[-2:] == (0, 3)
    assert choose(crowd.answers, sound=sound, scores=[2.0, 0, 0, 1.0, 0, 0, 0, 0, 0]).order[-2:] == (3, 0)
    assert verdict.votes[[0, 3]].tolist() == [0, 0]
    assert verdict.no_vote[0] == "a finding of the diagnosis rules it out"
    without = choose(crowd.answers[sound], losses=crowd.losses[sound])
    np.testing.assert_allclose(verdict.values[sound], without.values)


def test_networks_without_answers_come_last():
    """One that could not be asked, and one with an answer that is not finite, have no vote."""
    crowd = Crowd(GOOD)
    logits = list(crowd.logits)
    broken = logits[0].copy()
    broken[7, 3] = np.nan
    verdict = choose([*logits, None, broken], losses=[*crowd.losses, 0.01, 0.01])
    assert verdict.order[0] == 0
    assert set(verdict.order[-2:]) == {9, 10}
    assert verdict.no_vote[9] == verdict.no_vote[10] == "it was not asked, or an answer is not finite"


def test_without_answers_the_loss_or_the_score_chooses():
    """Nobody was asked: the rung says what was used, and that nobody can tell."""
    by_loss = choose(None, losses=[0.5, 0.1, np.nan], scores=[1.0, 3.0, 2.0])
    assert by_loss.order == (1, 0, 2)
    assert by_loss.rung == "weights and loss"
    by_score = choose([None, None, None], scores=[1.0, 3.0, np.nan])
    assert by_score.order == (0, 1, 2)
    assert by_score.rung == "weights"
    assert not by_score.can_tell
    assert np.isnan(by_score.agreement).all()


def test_losses_count_where_half_of_them_are_known():
    """With fewer, the choice is made without: said by the rung. One that is not known has no vote."""
    crowd = Crowd(GOOD)
    most = np.where(np.arange(9) == 0, np.nan, crowd.losses)
    verdict = choose(crowd.answers, losses=most)
    assert verdict.rung == "inputs and loss"
    assert verdict.no_vote[0] == "its loss is not known"
    assert verdict.order[0] == 1
    few = choose(crowd.answers, losses=np.where(np.arange(9) < 6, np.nan, crowd.losses))
    assert few.rung == "inputs"


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_values_are_chosen_by_the_loss(scale):
    """Of regressions the training loss tells more than agreement does, and it says so; without it, the spread."""
    rng = np.random.default_rng(0)
    truth = scale * rng.normal(size=(300, 4))
    shares = np.array([0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.0])[:, None, None]
    values = shares * truth + 0.05 * scale * rng.normal(size=(7, 300, 4))
    losses = ((values - truth) ** 2).mean(axis=(1, 2))
    verdict = choose(values, losses=losses, kind="values")
    assert verdict.order == tuple(range(7))
    assert not verdict.can_tell
    exploded = np.concatenate([values, 1e3 * scale * rng.normal(size=(1, 300, 4))])
    assert choose(exploded, kind="values").order[:6] == tuple(range(6))
    assert choose(exploded, kind="values").rung == "inputs"


def test_sequences_are_chosen_by_the_loss():
    """What comes next is uncertain, so language models agree beyond it: the loss chooses, or the one they claim."""
    rng = np.random.default_rng(0)
    crowd = wrong_labels()
    flat = choose(crowd.answers, losses=crowd.losses)
    verdict = choose(crowd.answers.reshape(10, 32, 16), losses=crowd.losses)
    assert not verdict.can_tell
    assert verdict.order[0] == crowd.losses.argmin() != flat.order[0]
    assert "Answers are sequences" in verdict.reason
    sure = np.linspace(4, 1, 7)[:, None, None, None] * np.eye(8)[rng.integers(8, size=(32, 16))]
    claimed = choose(sure + 0.1 * rng.normal(size=sure.shape))
    assert claimed.order == tuple(range(7))
    assert claimed.reason.endswith("chosen by the loss that its outputs claim.")


def test_thousand_classes():
    """Classes may outnumber the inputs."""
    crowd = Crowd(GOOD, classes=1000)
    assert choose(crowd.answers, losses=crowd.losses).order[:6] == tuple(range(6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"answers": None}, "there is nothing to choose by"),
        ({"answers": [[0, 1], [0, 1]], "losses": [0.1]}, "`losses` must have one entry for each of 2 networks, got 1"),
        ({"answers": [[0, 1], [0, 1]], "sound": [True]}, "`sound` must have one entry"),
        ({"answers": [[0, 1], [0, 1]], "sketches": []}, "`sketches` must have one entry"),
        ({"answers": [[0, 1]] * 6, "labels": [1, 2, 3]}, "`labels` must have one label for each of 2 inputs"),
    ],
)
def test_errors_say_what_is_wrong(arguments, message):
    """Each error names the argument and the numbers."""
    with pytest.raises(ValueError, match=message):
        choose(**arguments)
