"""`choose`: which of several networks for one task is best, by their answers, the training loss and the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from wwopt.consensus.answers import AllAnswers, AnswerKind, Answers, sampled
from wwopt.consensus.case import Case, Judged, competence_of, read_case, standing
from wwopt.consensus.judge_classes import judge_classes
from wwopt.consensus.judge_values import judge_values
from wwopt.consensus.outcome import Rung, Verdict
from wwopt.consensus.vote import vote_of_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["choose"]


def choose(
    answers: AllAnswers | None,
    *,
    sound: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    losses: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    constant_loss: float | None = None,
    sketches: Sequence[NDArray[np.float16] | None] | None = None,
    kind: AnswerKind = "auto",
) -> Verdict:
    """Order networks for one task, without a held-out label.

    Classes: voters weigh their competence, and the least loss is trusted as far as the vote agrees; where networks
    agree with each other beyond what their losses allow, labels look wrong: then the loss has no say, and memorisers
    no vote. Without losses, what the outputs claim to know stands in for them, or else the score. Values: the training
    loss; without it, how far a network's answers move with the others'.

    Parameters
    ----------
    answers : array_like or sequence of array_like or None
        What the networks answer to the same inputs, as `wwopt.agreement` takes it. None: nobody was asked.
    sound : array_like of bool, shape (networks,), optional
        Which networks no finding of the diagnosis rules out; the others have no vote and cannot win.
    scores : array_like, shape (networks,), optional
        Score by the weights, lower for a better network; NaN where it is not known.
    losses : array_like, shape (networks,), optional
        Training losses, for classes in nats; NaN where one is not known. Not used where more than half are not known.
    labels : array_like of int, shape (inputs,), optional
        Labels that the inputs came with, perhaps wrong. They feed `Verdict.contradiction` and nothing else.
    constant_loss : float, optional
        Loss of the best constant answer. By default the least loss of a network whose answers are all alike, or the
        entropy of the classes, by the outputs' own account, whichever is less.
    sketches : sequence of ndarray, optional
        What `sketch` makes of each network's raw outputs, to tell near-twins and how sure a network is. Made of
        `answers`, where these are raw.
    kind : {"auto", "classes", "values"}
        What the answers are.

    Raises
    ------
    ValueError
        If shapes differ, or there is nothing to choose by.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> digits = rng.integers(10, size=300)
    >>> right = np.array([0.95, 0.9, 0.85, 0.8, 0.7, 0.5])
    >>> answers = np.where(rng.random((6, 300)) < right[:, None], digits, rng.integers(10, size=(6, 300)))
    >>> verdict = choose(answers, losses=[0.3, 0.45, 0.6, 0.8, 1.1, 1.6])
    >>> verdict.order, verdict.rung, verdict.can_tell
    ((0, 1, 2, 3, 4, 5), 'inputs and loss', True)
    """
    case = read_case(answers, kind, sound=sound, scores=scores, losses=losses, sketches=sketches)
    if case.asked is None:
        return _unasked(case)
    judged = judge_values(case) if case.asked.kind == "values" else judge_classes(case, constant_loss)
    values, reason = _decided(case, judged)
    rung: Rung = "inputs and loss" if case.by_loss else "inputs"
    order = _ordered(values, np.where(case.able, -judged.losses, -case.loss), -case.score)
    return Verdict(
        order, values, judged.agreement, judged.competence, judged.votes,
        {**_ruled_out(case), **judged.voiceless}, rung, not judged.doubt, reason,
        _contradiction(case.asked, judged.votes, labels), judged.excess,
    )  # fmt: skip


def _unasked(case: Case) -> Verdict:
    """Without answers: the training loss, else the score."""
    rung: Rung = "weights and loss" if case.by_loss else "weights"
    key, rule = _fall_back(case)
    values = np.where(case.sound, key, np.nan)
    known = np.isfinite(case.loss)
    competence = competence_of(case.loss, case.loss[known].max()) if case.by_loss else standing(case.score, case.sound)
    reason = f"No network was asked; chosen by {rule}."
    if case.by_loss:
        reason += " Where labels are wrong, the least loss is often of a network that memorised them."
    return Verdict(
        _ordered(values, -case.score), values, np.full(len(values), np.nan), np.where(case.sound, competence, 0.0),
        np.zeros(len(values)), _ruled_out(case), rung, False, reason, None,
    )  # fmt: skip


def _fall_back(case: Case) -> tuple[Floats, str]:
    """Return what chooses where nobody can tell, higher for a better network, and its name."""
    return (-case.loss, "the training loss") if case.by_loss else (-case.score, "the score")


def _decided(case: Case, judged: Judged) -> tuple[Floats, str]:
    """Return the values by which networks are ordered, and the reason in words."""
    values = np.where(case.able, judged.values, np.nan)
    if not judged.doubt:
        return values, f"Chosen as {judged.reason}."
    if judged.rule:
        return values, f"{judged.doubt}; chosen by {judged.rule}."
    key, rule = _fall_back(case)
    if not np.isfinite(key[case.able]).any():
        return values, f"{judged.doubt}; chosen by agreement all the same, as nothing else is known."
    if judged.tied is None:
        return np.where(case.able, key, np.nan), f"{judged.doubt}; chosen by {rule}."
    return _raised(values, key, judged.tied), f"{judged.doubt}; chosen among them by {rule}."


def _raised(values: Floats, key: Floats, tied: Flags) -> Floats:
    """Put the tied ones above all others, in the order of the key.

    Examples
    --------
    >>> _raised(np.array([0.9, 0.8, 0.5]), np.array([1.0, 2.0, 3.0]), np.array([True, True, False])).tolist()
    [1.4, 1.9, 0.5]
    """
    top = np.flatnonzero(tied)
    result = values.copy()
    result[top] = np.nanmax(values) + rankdata(np.nan_to_num(key[top], nan=-np.inf)) / len(top)
    return result


def _ruled_out(case: Case) -> dict[int, str]:
    found = {int(i): "a finding of the diagnosis rules it out" for i in np.flatnonzero(~case.sound)}
    if case.asked is not None:
        unheard = np.flatnonzero(case.sound & ~case.asked.given)
        found |= {int(i): "it was not asked, or an answer is not finite" for i in unheard}
    return found


def _contradiction(answers: Answers, votes: Floats, labels: ArrayLike | None) -> float | None:
    if labels is None or answers.kind != "classes" or not (votes > 0).any():
        return None
    vote = vote_of_classes(answers.table, votes)
    given = sampled(np.asarray(labels).reshape(-1))
    if given.shape != vote.shape:
        raise ValueError(f"`labels` must have one label for each of {len(vote)} inputs, got {given.shape}.")
    labelled = given >= 0
    return float((vote != given)[labelled].mean()) if labelled.any() else None


def _ordered(*keys: Floats) -> tuple[int, ...]:
    """Indices by the first key, the next ones breaking ties, higher first, NaN last."""
    columns = [np.where(np.isnan(key), np.inf, -key) for key in keys]
    return tuple(np.lexsort(columns[::-1]).tolist())
