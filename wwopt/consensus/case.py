"""`Case`: what is known of the networks that are chosen among; `Judged`: what was made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from wwopt.consensus.answers import AllAnswers, AnswerKind, Answers, read_answers
from wwopt.consensus.twins import sketch, twins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["MIN_ASKED", "Case", "Judged", "competence_of", "learned_share", "read_case", "share_votes", "standing"]

LEARNED = 0.2  # share of the way from a constant's loss to none at which competence is full: memorising earns nothing
MIN_ASKED = 5  # sound networks below which nobody can tell


@dataclass(frozen=True)
class Case:
    """What is known of n networks.

    Attributes
    ----------
    asked : Answers or None
        Their answers.
    sound : ndarray of bool, shape (n,)
        Whom the diagnosis does not rule out.
    score, loss : ndarray, shape (n,)
        By the weights, and in training; NaN where it is not known.
    sketches : list
        Of their outputs; None where there is none.
    """

    asked: Answers | None
    sound: Flags
    score: Floats
    loss: Floats
    sketches: list[NDArray[np.float16] | None]

    @property
    def answers(self) -> Answers:
        """Answers of networks that were asked."""
        if self.asked is None:
            raise ValueError("No network was asked.")
        return self.asked

    @property
    def able(self) -> Flags:
        """Sound networks that answered, which may vote and win."""
        return self.sound & self.asked.given if self.asked is not None else self.sound

    @property
    def voting(self) -> Flags:
        """Those whose answers are not all alike."""
        return self.able & ~self.answers.constant

    @property
    def kin(self) -> Flags:
        """Near-twins, shape (n, n)."""
        return twins(self.sketches)

    @property
    def by_loss(self) -> bool:
        """Whether the training loss is known of half of them and more."""
        return bool(np.isfinite(self.loss[self.able]).sum() * 2 >= max(self.able.sum(), 1))


@dataclass(frozen=True)
class Judged:
    """What was made of a case.

    Attributes
    ----------
    values, agreement, competence, votes : ndarray, shape (n,)
        As in `Verdict`.
    losses : ndarray, shape (n,)
        By which equal values are put in order; NaN where none is known.
    reason : str
        Why the first one was chosen, after "Chosen as".
    doubt : str
        Why nobody can tell; empty where somebody can.
    rule : str
        By what it was chosen then, where the order stands all the same. Otherwise the training loss or the score is
        fallen back to.
    tied : ndarray of bool or None
        Whom the rule that is fallen back to chooses among; None for all.
    excess : float or None
        As in `Verdict`.
    voiceless : mapping of int to str
        Able networks without a vote, and why.
    """

    values: Floats
    agreement: Floats
    competence: Floats
    votes: Floats
    losses: Floats
    reason: str = ""
    doubt: str = ""
    rule: str = ""
    tied: Flags | None = None
    excess: float | None = None
    voiceless: Mapping[int, str] = field(default_factory=dict)


def read_case(
    answers: AllAnswers | None,
    kind: AnswerKind,
    *,
    sound: ArrayLike | None,
    scores: ArrayLike | None,
    losses: ArrayLike | None,
    sketches: Sequence[NDArray[np.float16] | None] | None,
) -> Case:
    """Check what `choose` was given.

    Raises
    ------
    ValueError
        If there is nothing to choose by, or the numbers of networks differ.
    """
    given = [one for one in (answers, losses, scores) if one is not None]
    if not given:
        raise ValueError("Give `answers`, `losses` or `scores`: there is nothing to choose by.")
    size = len(given[0])  # type: ignore[arg-type]
    flags = np.ones(size, dtype=bool) if sound is None else np.asarray(sound, dtype=bool)
    for name, one in (("sound", flags), ("scores", scores), ("losses", losses), ("sketches", sketches)):
        if one is not None and len(one) != size:  # type: ignore[arg-type]
            raise ValueError(f"`{name}` must have one entry for each of {size} networks, got {len(one)}.")  # type: ignore[arg-type]
    score, loss = _numbers(scores, size), _numbers(losses, size)
    if answers is None or all(one is None for one in answers):
        return Case(None, flags, score, loss, [None] * size)
    if sketches is None:
        arrays = [None if one is None else np.asarray(one) for one in answers]
        sketches = [None if one is None or one.dtype.kind != "f" else sketch(one) for one in arrays]
    return Case(read_answers(answers, kind), flags, score, loss, list(sketches))


def learned_share(losses: Floats, constant: float) -> Floats:
    """Share of the loss of the best constant answer that each network has unlearned, in [0, 1]; 0 where not known."""
    share = (constant - losses) / max(constant, np.finfo(np.float64).tiny)
    return np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0)


def competence_of(losses: Floats, constant: float) -> Floats:
    """From 0, no better than the best constant answer, to 1, where a fifth and more of its loss is unlearned.

    Examples
    --------
    >>> competence_of(np.array([0.01, 1.0, 2.0, 2.3, np.nan]), constant=2.3).round(2).tolist()
    [1.0, 1.0, 0.65, 0.0, 0.0]
    """
    return np.minimum(learned_share(losses, constant) / LEARNED, 1.0)


def standing(score: Floats, able: Flags) -> Floats:
    """Competence where no loss is known: the squared rank by the score, 1 for the best; the median where not known.

    Examples
    --------
    >>> standing(np.array([1.0, 3.0, 2.0, np.nan]), np.ones(4, dtype=bool)).round(2).tolist()
    [1.0, 0.11, 0.44, 0.44]
    """
    known = able & np.isfinite(score)
    if not known.any():
        return np.where(able, 1.0, 0.0)
    ranks = np.zeros(len(score))
    ranks[known] = rankdata(-score[known]) / known.sum()
    ranks[able & ~known] = np.median(ranks[known])
    return np.square(ranks)


def share_votes(votes: Floats, kin: Flags) -> Floats:
    """Divide votes among near-twins that have one: together they count once.

    Examples
    --------
    >>> kin = np.array([[True, True, False], [True, True, False], [False, False, True]])
    >>> share_votes(np.array([1.0, 0.5, 1.0]), kin).tolist()
    [0.5, 0.25, 1.0]
    """
    return np.asarray(votes / np.maximum((kin & (votes > 0)[None, :]).sum(axis=1), 1))


def _numbers(values: ArrayLike | None, size: int) -> Floats:
    found = np.full(size, np.nan) if values is None else np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)
