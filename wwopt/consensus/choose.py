"""`choose`: which of several networks for one task is best, by their answers, the training loss and the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from wwopt.consensus.agree import agreement_of
from wwopt.consensus.answers import AllAnswers, AnswerKind, Answers, read_answers
from wwopt.consensus.outcome import Rung, Verdict
from wwopt.consensus.twins import sketch, twins
from wwopt.consensus.vote import vote_of_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["choose"]

LEARNED = 0.2  # share of the way from a constant's loss to none, from which a network counts as competent
ALIKE = 0.05  # agreements within it of the best are equal
LABELS_RIGHT = 0.1  # contradiction below which the labels look right
MIN_VOTERS = 5  # sound networks, below which nobody can tell


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

    Parameters
    ----------
    answers : array_like or sequence of array_like or None
        What the networks answer to the same inputs, as `wwopt.agreement` takes it. None: nobody was asked.
    sound : array_like of bool, shape (networks,), optional
        Which networks no finding of the diagnosis rules out; the others have no vote and cannot win.
    scores : array_like, shape (networks,), optional
        Score by the weights, lower for a better network; NaN where it is not known.
    losses : array_like, shape (networks,), optional
        Training losses; NaN where one is not known.
    labels : array_like of int, shape (inputs,), optional
        Labels that the inputs came with, perhaps wrong. They feed the meter.
    constant_loss : float, optional
        Loss of the best constant answer. Estimated, where it is not known.
    sketches : sequence of ndarray, optional
        What `sketch` makes of each network's raw outputs, to tell near-twins. Made of `answers`, where these are raw.
    kind : {"auto", "classes", "values"}
        What the answers are.

    Raises
    ------
    ValueError
        If shapes differ, or there is nothing to choose by.

    Examples
    --------
    >>> verdict = choose([[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 0], [3, 3, 3, 3]], losses=[0.2, 0.1, 0.5, 1.4])
    >>> verdict.order, verdict.rung
    ((1, 0, 2, 3), 'inputs and loss')
    """
    size = _size(answers, sound, scores, losses)
    ok = np.ones(size, dtype=bool) if sound is None else np.asarray(sound, dtype=bool)
    score = _numbers("scores", scores, size)
    loss = _numbers("losses", losses, size)
    asked = None if answers is None or all(one is None for one in answers) else read_answers(answers, kind)
    has_loss = bool(np.isfinite(loss).any())
    rung: Rung = (
        ("inputs and loss" if has_loss else "inputs") if asked else ("weights and loss" if has_loss else "weights")
    )
    silent: dict[int, str] = {int(i): "a finding of the diagnosis rules it out" for i in np.flatnonzero(~ok)}
    competence = _competence(loss, constant_loss) if has_loss else _by_score(score, ok)
    if answers is None or asked is None:
        values = -loss if has_loss else -score
        values = np.where(ok, values, np.nan)
        rule = "the training loss" if has_loss else "the score"
        return Verdict(
            _ordered(values, -score),
            values,
            np.full(size, np.nan),
            competence,
            np.zeros(size),
            silent,
            rung,
            False,
            f"Chosen by {rule}: no network was asked.",
            None,
        )
    silent |= {int(i): "it was not asked, or answered by no finite number" for i in np.flatnonzero(ok & ~asked.given)}
    able = ok & asked.given
    kin = _kin(answers, sketches)
    votes = np.where(able, competence / kin.sum(axis=1), 0.0)
    silent |= {int(i): "it is no better than a constant answer" for i in np.flatnonzero(able & (votes <= 0))}
    agreements = agreement_of(asked, votes, kin)
    meter = _contradiction(asked, votes, labels)
    values = np.where(able, agreements * (competence if has_loss else 1.0), np.nan)
    if has_loss and meter is not None and meter < LABELS_RIGHT:
        values = _least_loss_first(values, loss)
    order = _ordered(values, -loss if has_loss else -score, -score)
    can_tell = int((votes > 0).sum()) >= MIN_VOTERS
    if not can_tell:
        values = np.where(able, -loss if has_loss else -score, np.nan)
        order = _ordered(values, -score)
        rule = "the training loss" if has_loss else "the score"
        reason = f"Only {int((votes > 0).sum())} sound networks vote, too few to tell; chosen by {rule}."
    else:
        reason = f"It agrees with the vote of the others at {agreements[order[0]]:.2f}, beyond chance."
    return Verdict(order, values, agreements, competence, votes, silent, rung, can_tell, reason, meter)


def _size(answers: object, *others: ArrayLike | None) -> int:
    for one in (answers, *others):
        if one is not None:
            return len(one)  # type: ignore[arg-type]
    raise ValueError("Give `answers`, `losses` or `scores`: there is nothing to choose by.")


def _numbers(name: str, values: ArrayLike | None, size: int) -> Floats:
    if values is None:
        return np.full(size, np.nan)
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (size,):
        raise ValueError(f"`{name}` must have one number for each of {size} networks, got {found.shape}.")
    return np.where(np.isfinite(found), found, np.nan)


def _competence(loss: Floats, constant: float | None) -> Floats:
    worst = float(np.nanmax(loss)) if constant is None else constant
    share = (worst - loss) / worst if worst > 0 else np.zeros_like(loss)
    return np.nan_to_num(np.clip(share / LEARNED, 0.0, 1.0), nan=0.0)


def _by_score(score: Floats, sound: Flags) -> Floats:
    """Squared rank of the score among the sound: 1 for the best."""
    known = sound & np.isfinite(score)
    if not known.any():
        return np.ones(len(score))
    ranks = np.zeros(len(score))
    ranks[known] = rankdata(-score[known]) / known.sum()
    return np.square(ranks)


def _kin(answers: AllAnswers, sketches: Sequence[NDArray[np.float16] | None] | None) -> Flags:
    if sketches is None:
        arrays = [None if one is None else np.asarray(one) for one in answers]
        raw = [one is not None and one.dtype.kind == "f" for one in arrays]
        sketches = [sketch(one) if ok and one is not None else None for one, ok in zip(arrays, raw, strict=True)]
    return twins(sketches)


def _contradiction(answers: Answers, votes: Floats, labels: ArrayLike | None) -> float | None:
    if labels is None or answers.kind != "classes" or not (votes > 0).any():
        return None
    vote = vote_of_classes(answers.table, votes)
    given = np.asarray(labels).reshape(-1)
    if given.shape != vote.shape:
        raise ValueError(f"`labels` must have one label for each of {len(vote)} inputs, got {given.shape}.")
    return float((vote != given).mean())


def _least_loss_first(values: Floats, loss: Floats) -> Floats:
    """Put those within `ALIKE` of the best in the order of their losses, above all others."""
    top = np.flatnonzero((values >= np.nanmax(values) - ALIKE) & np.isfinite(loss))
    result = values.copy()
    result[top] = np.nanmax(values) + 1 - rankdata(loss[top]) / (len(top) + 1)
    return result


def _ordered(*keys: Floats) -> tuple[int, ...]:
    """Indices by the first key, the next ones breaking ties, higher first, NaN last."""
    columns = [np.where(np.isnan(key), np.inf, -key) for key in keys]
    return tuple(np.lexsort(columns[::-1]).tolist())
