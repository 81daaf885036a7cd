"""What a training loss, or the outputs themselves, say of a network: how well it knows its labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from wwopt.arrays import Flags, Floats

__all__ = ["entropies", "label_kappa", "loss_of_constant", "shared_spread"]

GRID = 2001  # errors at which the entropy is tabulated; between them it is interpolated
LIKE = 0.5  # correlation with the others from which a network's spread counts as a measure for all
FAR = 3.0  # times the second widest of those: wider answers have diverged
ROUNDING = 1e-3  # by which the outputs of a softmax may miss a sum of one


def entropies(outputs: ArrayLike) -> tuple[float, float]:
    """Return the entropy of the mean prediction, and the mean entropy of the predictions: no label is needed.

    Their difference is the information that a network's outputs hold of its inputs, by its own account: the mutual
    information of input and predicted class. A network that was trained by cross-entropy predicts each class as often
    as it occurs, so that the first is about the loss of the best constant answer; and it knows about as much of its
    labels, on its training inputs, as it claims to, so that the second stands in for a training loss that is not known.

    Parameters
    ----------
    outputs : array_like, shape (inputs, classes)
        Logits, log-probabilities or probabilities; a single output is the logit of one of two classes. Longer shapes
        have positions that count as inputs.

    Returns
    -------
    tuple of float
        In nats, from 0 to log(classes), the second at most the first; NaN where an output is not finite.

    Examples
    --------
    >>> sure = 20 * np.eye(4)
    >>> [round(one / math.log(4), 3) for one in entropies(sure)], [round(one, 3) for one in entropies(np.ones((4, 4)))]
    ([1.0, 0.0], [1.386, 1.386])
    """
    array = np.asarray(outputs, dtype=np.float64)
    rows = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    if rows.shape[1] == 1:
        rows = np.concatenate([np.zeros_like(rows), rows], axis=1)
    top = rows.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():
        return math.nan, math.nan
    if (rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < ROUNDING).all():
        shares = rows
    else:
        powers = np.exp(rows - top)
        shares = powers / powers.sum(axis=1, keepdims=True)
    whole = float(_entropy(shares.mean(axis=0)))
    return whole, min(float(_entropy(shares).mean()), whole)


def label_kappa(losses: Floats, constant: float) -> Floats:
    """Agreement with the labels, beyond chance, that a cross-entropy speaks for at best, shape (n,).

    A network that errs with probability p, is equally sure of every answer and knows it, has the loss
    h(p) + p log(C - 1), with h the binary entropy and C classes; this solves for p, with C = exp(`constant`), and
    returns 1 - p C / (C - 1). One that is surer of some answers than of others errs more at the same loss. NaN where
    the loss is.

    Parameters
    ----------
    losses : ndarray, shape (n,)
        Mean cross-entropies, in nats.
    constant : float
        That of the best constant answer.

    Examples
    --------
    >>> label_kappa(np.array([0.0, 0.64, 2.3]), constant=math.log(10)).round(2).tolist()
    [1.0, 0.86, 0.02]
    """
    classes = max(math.exp(min(constant, 30.0)), 1.5)
    error = np.linspace(0, 1 - 1 / classes, GRID)[1:-1]
    entropy = -(error * np.log(error) + (1 - error) * np.log(1 - error)) + error * math.log(max(classes - 1, 0.5))
    share = np.clip(losses / constant, 0.0, 1.0)
    found = np.interp(share, [0.0, *(entropy / entropy.max()), 1.0], [0.0, *error, 1 - 1 / classes])
    return np.asarray(np.where(np.isnan(losses), np.nan, 1 - found / (1 - 1 / classes)))


def loss_of_constant(losses: Floats, constant: Flags, most: float | None) -> float:
    """Estimate the loss of the best constant answer.

    The least loss of a network whose answers are all alike, if there is one: it can do no better. At most `most`, where
    that is known and the least loss lies below it, as it does for a cross-entropy. Without either the largest loss.

    Examples
    --------
    >>> losses = np.array([0.3, 1.1, 2.31, 2.4])
    >>> loss_of_constant(losses, np.array([False, False, False, True]), None)
    2.4
    >>> round(loss_of_constant(losses, np.zeros(4, dtype=bool), math.log(10)), 3)
    2.303
    """
    known = np.isfinite(losses)
    found = [float(losses[known & constant].min())] if (known & constant).any() else []
    if most is not None and losses[known].min() < most:
        found.append(most)
    return min(found, default=float(losses[known].max()))


def shared_spread(values: Floats, weights: Floats) -> Floats:
    """Size of each network's answers along the weighted mean of the others', shape (n,), as `entropies` of classes.

    A network that was trained by squared error answers with as much variance as it explains: its spread, times the
    square of its correlation with the others, is what it knows. Answers that are nearly constant have little of it, nor
    have those that are unlike the others', or that are `FAR` times as wide.

    Parameters
    ----------
    values : ndarray, shape (n, k, d)
        Answers.
    weights : ndarray, shape (n,)
        Weight of each network in the mean.
    """
    centred = (values - values.mean(axis=1, keepdims=True)).reshape(len(values), -1)
    size = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(size > 0, size, 1.0)[:, None]
    means = np.where(np.eye(len(values), dtype=bool), 0.0, weights[None, :]) @ unit
    scale = np.linalg.norm(means, axis=1)
    alike = np.clip((unit * means).sum(axis=1) / np.where(scale > 0, scale, 1.0), 0.0, 1.0)
    like = np.sort(size[(alike >= LIKE) & (weights > 0)])
    widest = FAR * float(like[-2]) if len(like) > 1 else 0.0
    fair = np.square(np.minimum(1.0, widest / np.where(size > 0, size, 1.0)))
    return np.asarray(size * np.square(alike) * fair)  # squared: noise of one's own adds to the size


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1))
