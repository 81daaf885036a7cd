"""`agreement`: how far each network agrees with the others beyond chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.consensus.answers import AllAnswers, AnswerKind, Answers, read_answers
from wwopt.consensus.vote import explained_shares, kappas

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from wwopt.arrays import Flags, Floats

__all__ = ["agreement", "agreement_of"]


def agreement(answers: AllAnswers, weights: ArrayLike | None = None, kind: AnswerKind = "auto") -> Floats:
    """Agreement of each network's answers with the vote of all others.

    Parameters
    ----------
    answers : array_like, shape (networks, inputs, outputs) or (networks, inputs)
        What the networks answer to the same inputs, or a list of one array a network, with None for one that could not
        be asked. Several floating-point outputs are classes, the largest is the answer; integers are class numbers,
        negative where there is no answer; one floating-point output is a value. In longer shapes, such as (networks,
        inputs, positions, outputs), every position counts as an input; of more than 8192, as many are taken, evenly
        spaced.
    weights : array_like, shape (networks,), optional
        Weight of each network's vote, at least 0; one with 0 has no vote, and is judged by those that have. All alike
        by default.
    kind : {"auto", "classes", "values"}
        What the answers are, where the shape does not tell: several outputs may be values, and a single one may be a
        class, told by its sign.

    Returns
    -------
    ndarray, shape (networks,)
        At most 1; 0 by chance and for a network that answers every input alike. For classes, Cohen's kappa with the
        others' weighted vote; for values, the share of the others' weighted mean answer that is explained, which can
        be negative. 0 for a network without answers, or with one that is not finite; it has no vote.

    Raises
    ------
    ValueError
        If the shapes differ, no network has answers, or a weight is negative or not finite.

    References
    ----------
    Cohen, Educational and Psychological Measurement 20(1), 1960. Dawid and Skene, Journal of the Royal Statistical
    Society C 28(1), 1979.

    Examples
    --------
    >>> import wwopt
    >>> wwopt.agreement([[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 0], [3, 3, 3, 3]]).round(2).tolist()
    [1.0, 1.0, 0.67, 0.0]
    """
    read = read_answers(answers, kind)
    given = np.ones(len(read.given)) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != read.given.shape:
        raise ValueError(f"`weights` must have one number for each of {len(read.given)} networks, got {given.shape}.")
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError("`weights` must be finite and at least 0; 0 takes a network's vote away.")
    return agreement_of(read, given, np.eye(len(given), dtype=bool))


def agreement_of(answers: Answers, weights: Floats, kin: Flags) -> Floats:
    """Agreement with the vote of the others, without the votes of kin: `kin[i, j]` takes j's vote where i is judged."""
    votes = np.where(answers.given, weights, 0.0)
    measure = kappas if answers.kind == "classes" else explained_shares
    found = measure(answers.table, votes, kin)
    return np.where(answers.given & ~answers.constant, found, 0.0)
