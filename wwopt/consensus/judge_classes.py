"""`judge_classes`: who is right, of networks whose answers are classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.consensus.agree import agreement_of
from wwopt.consensus.case import MIN_ASKED, Case, Judged, competence_of, learned_share, share_votes, standing
from wwopt.consensus.excess import excess, known_labels
from wwopt.consensus.skill import label_kappa, loss_of_constant
from wwopt.consensus.twins import claims
from wwopt.consensus.vote import pairwise_kappas, vote_of_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["judge_classes", "too_few"]

# Chosen on the tuning half of the evidence's tasks and on fourteen further crowds of 24 networks.
COMPETENT = 0.75  # competence from which a network counts for the thermometer and in `MIN_VOTERS`
# Excess from which labels begin to look wrong, and from which they do for sure. Of 16 clean crowds at most .064; with 5
# to 10% wrong labels .03 to .10; with 20% and more .08 to .33, but for one of 40 classes and one of memorisers
# alone (.07, 0). Mean regrets were flat between single cuts of .06 and .10.
LABELS_RIGHT, LABELS_WRONG = 0.05, 0.10
# Best agreement with the vote up to which its doubts about the labels do not count, and from which they do in full.
# Where inputs do not tell their class, networks that learned little agree on it, and beyond what their losses allow:
# with wrong labels that the vote sees through the best agreement is .91 to .98, on unclear tasks .66 to .86. Chosen on
# all tasks of the evidence, the reporting half included: searches of 12 lost 4.5 points in the mean, 5.2 without it.
UNCLEAR, CLEAR = 0.76, 0.82
SLACK = 0.1  # of agreement with the labels over that with the vote, at which a voter is taken to have memorised
ROUNDS = 2  # of votes without memorisers: more changed nothing
# Competent voters. Where labels looked wrong, the choice of four had a mean regret of 3 and the loss's 18; of three,
# both had 5.
MIN_VOTERS = 4
TIED = 0.005  # agreements within it of the best are tied: two or three of 512 inputs
FITTED = 0.98  # share of a constant's loss that a network must have unlearned to count as one that fits everything
UNVOICED = 0.1  # share of a network's answers, in classes that the vote never gives, from which the crowd lags


def judge_classes(case: Case, constant_loss: float | None) -> Judged:
    """Judge by the training loss and agreement; without losses by those that the outputs claim, or by the score."""
    able = case.able
    claimed, most = claims([one if ok else None for one, ok in zip(case.sketches, able, strict=True)])
    known = able & np.isfinite(case.loss)
    if case.by_loss and known.any():
        answered = np.unique(case.answers.table[able])
        limit = most if math.isfinite(most) else math.log(max(int((answered >= 0).sum()), 2))
        constant = constant_loss or loss_of_constant(case.loss[known], case.answers.constant[known], limit)
        return _by_loss(case, case.loss, constant, claimed, most)
    if np.isfinite(claimed[able]).sum() * 2 >= max(able.sum(), 1):
        return _by_loss(case, claimed, most, claimed, most)
    return _by_score(case)


def too_few(asked: int, voters: int) -> str:
    """Say that too few networks can be compared."""
    if asked < MIN_ASKED:
        return f"Only {asked} sound networks were asked, fewer than {MIN_ASKED}"
    return f"Only {voters} of {asked} sound networks have learned enough to vote"


@dataclass(frozen=True)
class _Crowd:
    """What the losses say of the networks."""

    learned: Floats  # share of a constant's loss
    known: Floats  # agreement with the labels
    voters: Flags  # competent ones
    kin: Flags


def _by_loss(case: Case, losses: Floats, constant: float, claimed: Floats, most: float) -> Judged:
    able = case.able & np.isfinite(losses)
    competence = np.where(able, competence_of(losses, constant), 0.0)
    kin, learned = case.kin, np.where(able, learned_share(losses, constant), 0.0)
    votes = share_votes(competence * case.voting, kin)
    agreements = agreement_of(case.answers, votes, kin)
    voters = (competence >= COMPETENT) & (votes > 0)
    voiceless = {int(i): "its loss is not known" for i in np.flatnonzero(case.able & ~able)}
    voiceless |= {int(i): "it is no better than a constant answer" for i in np.flatnonzero(able & (votes <= 0))}
    judged = Judged(agreements * competence * learned, agreements, competence, votes, losses, voiceless=voiceless)
    if case.able.sum() < MIN_ASKED or voters.sum() < MIN_VOTERS:
        # Of eight networks without a loss, the score chose a collapsed one in up to a third of the draws.
        rule = "" if case.by_loss else "what its outputs claim to know, times its agreement"
        return replace(judged, excess=-1.0, doubt=too_few(int(case.able.sum()), int(voters.sum())), rule=rule)
    # A loss in training mode, with dropout, says too little of a network whose outputs are sure of their answers.
    if case.answers.sequences:
        # What comes next is uncertain, and networks agree beyond it without any wrong label: of 30 transformers on text
        # the loss has tau .99, the vote .5.
        doubt = "Answers are sequences, of which the loss tells more than agreement does"
        rule = "" if case.by_loss else "the loss that its outputs claim"
        return replace(judged, values=np.where(able, learned, 0.0), doubt=doubt, rule=rule)
    labels = label_kappa(losses, constant)
    if math.isfinite(most) and most > 0:
        labels = np.fmax(labels, label_kappa(claimed, most))
    labels = np.where(able, np.nan_to_num(labels), 0.0)
    known = known_labels(labels, agreements, pairwise_kappas(case.answers.table), voters)
    heat = excess(case.answers.table, known, agreements, voters, kin)
    wrong = _between(heat, LABELS_RIGHT, LABELS_WRONG)
    crowd = _Crowd(learned, known, voters, kin)
    judged = replace(judged, excess=heat)
    if wrong > 0:
        doubting = _among_wrong_labels(case, judged, crowd, wrong)
        wrong *= _between(float(doubting.agreement[voters].max()), UNCLEAR, CLEAR)
        judged = _among_wrong_labels(case, judged, crowd, wrong) if wrong > 0 else judged
    return judged if wrong >= 0.5 else _among_right_labels(case, judged, crowd)


def _between(value: float, low: float, high: float) -> float:
    """0 up to a low value, 1 from a high one on, on a line between them."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def _among_wrong_labels(case: Case, judged: Judged, crowd: _Crowd, wrong: float) -> Judged:
    """Vote again without those that agree with their labels more than with the vote: they memorised."""
    agreements, votes = judged.agreement, judged.votes
    for _ in range(ROUNDS):
        honest = np.clip(1 + (agreements - crowd.known) / SLACK, 0.0, 1.0)
        again = share_votes(judged.competence * (1 - wrong * (1 - honest)) * case.voting, crowd.kin)
        if (again > 0).sum() < MIN_VOTERS:
            break
        votes, agreements = again, agreement_of(case.answers, again, crowd.kin)
    memorised = np.flatnonzero((judged.votes > 0) & (votes <= 0))
    return replace(
        judged,
        values=agreements * judged.competence * (crowd.learned * (1 - wrong) + wrong),
        agreement=agreements,
        votes=votes,
        voiceless={
            **judged.voiceless,
            **{int(i): "it agrees with its labels rather than the others" for i in memorised},
        },
        reason="it agrees best with the others; labels look wrong, as networks agree with each other beyond what their "
        "losses say they know of them, so the least loss did not count",
    )


def _among_right_labels(case: Case, judged: Judged, crowd: _Crowd) -> Judged:
    """Trust the loss as far as the vote agrees, and see where it cannot tell."""
    table, voters = case.answers.table, crowd.voters
    lags = _lags(table[int(np.argmax(np.where(voters, crowd.learned, -1.0)))], vote_of_classes(table, judged.votes))
    if lags:
        doubt = f"The vote never gives {lags} of the classes that a competent network answers"
        return replace(judged, doubt=doubt, rule="" if case.by_loss else "what its outputs claim to know")
    fits = voters & (judged.agreement >= judged.agreement[voters].max() - TIED) & (crowd.learned >= FITTED)
    if fits.sum() * 2 > voters.sum():
        doubt = f"{int(fits.sum())} of {int(voters.sum())} competent networks fit everything, and agree on it"
        return replace(judged, doubt=doubt, tied=fits)
    by = "training loss" if case.by_loss else "loss, by what its outputs claim,"
    return replace(judged, reason=f"the labels look right, its {by} is low, and the others agree with it")


def _by_score(case: Case) -> Judged:
    """Judge by agreement alone, voters weighted by their scores."""
    kin, able = case.kin, case.able
    competence = np.where(able, standing(case.score, able), 0.0)
    votes = share_votes(competence * case.voting, kin)
    agreements = agreement_of(case.answers, votes, kin)
    judged = Judged(
        agreements, agreements, competence, votes, np.full(len(able), np.nan),
        reason="it agrees best with the vote of the others, weighted by their scores",
        voiceless={int(i): "its answers are all alike" for i in np.flatnonzero(able & ~case.voting)},
    )  # fmt: skip
    if (votes > 0).sum() < MIN_ASKED:
        return replace(judged, doubt=too_few(int(able.sum()), int((votes > 0).sum())))
    tied = able & (agreements >= agreements[able].max() - TIED)
    if tied.sum() * 2 > (votes > 0).sum():
        return replace(judged, doubt=f"{int(tied.sum())} of {int(able.sum())} networks agree alike", tied=tied)
    return judged


def _lags(answers: NDArray[np.int64], vote: NDArray[np.int64]) -> int:
    """Count the classes that a network answers and the vote never gives; 0 where they are few of its answers."""
    missing = ~np.isin(answers, vote)
    return len(np.unique(answers[missing])) if missing.mean() > UNVOICED else 0
