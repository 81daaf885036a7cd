"""Sketches of outputs: near-twins are told by them, and how sure a network is of what it answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wwopt.consensus.skill import entropies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["TWINS", "claims", "sketch", "twins"]

# Correlation of centred outputs above which two networks are near-twins. Networks of one task, trained apart, stay
# below .990 in 27 crowds of 24 to 30, but for four pairs of small perceptrons on 250 examples of two classes (.998).
TWINS = 0.995
HEAD = 2  # numbers before the fingerprint: both `entropies` of the outputs
ROWS, COLUMNS = 120, 16  # 1920 numbers of 2 bytes, under 4 KB


def sketch(outputs: ArrayLike) -> NDArray[np.float16]:
    """Fingerprint of a network's raw outputs, small enough to keep for every trial of a study.

    Parameters
    ----------
    outputs : array_like, shape (inputs, outputs) or (inputs,)
        What the network answers: logits, best before any softmax; longer shapes have positions that count as inputs.

    Returns
    -------
    ndarray of float16, shape (m,)
        At most 1922 numbers. The entropy of the mean prediction, and the mean entropy of the predictions, which is the
        loss that the network claims to have; then, for 120 of the inputs, evenly spaced, the outputs (or 16
        fixed random sums of them), without their means over the outputs and over the inputs, at norm 1: the inner
        product of two is the correlation of the outputs. None of these where all outputs are alike; empty where one is
        not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 10))
    >>> one, copy, other = sketch(logits), sketch(2 * logits + 1), sketch(rng.normal(size=(50, 10)))
    >>> twins([one, copy, other]).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    array = np.asarray(outputs, dtype=np.float64)
    every = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    if not np.isfinite(every).all():
        return np.zeros(0, dtype=np.float16)
    head = np.array(entropies(every))
    rows = every[np.unique(np.linspace(0, len(every) - 1, ROWS).astype(np.int64))]
    if rows.shape[1] > 1:
        rows = rows - rows.mean(axis=1, keepdims=True)
    if rows.shape[1] > COLUMNS:
        rows = rows @ np.random.default_rng(0).choice([-1.0, 1.0], size=(rows.shape[1], COLUMNS))
    flat = (rows - rows.mean(axis=0)).ravel()
    norm = np.linalg.norm(flat)
    fingerprint = flat / norm if norm > 1e-9 * np.abs(array).max() else flat[:0]
    return np.asarray(np.concatenate([head, fingerprint]), dtype=np.float16)


def claims(sketches: Sequence[NDArray[np.float16] | None]) -> tuple[Floats, float]:
    """Return the loss that each network's outputs claim, shape (n,), and the one that they claim of a constant answer.

    The claimed loss is that of a constant less what the network says it knows of its inputs; NaN without a sketch. That
    of a constant is the median's; NaN where there are no sketches.

    Examples
    --------
    >>> losses, constant = claims([sketch(20 * np.eye(4)), sketch(np.ones((4, 4))), None])
    >>> losses.round(2).tolist(), round(constant, 2)
    ([0.0, 1.39, nan], 1.39)
    """
    heads = np.array([[math.nan] * HEAD if one is None or one.size < HEAD else one[:HEAD] for one in sketches], float)
    known = np.isfinite(heads).all(axis=1)
    if not known.any():
        return np.full(len(heads), np.nan), math.nan
    constant = float(np.median(heads[known, 0]))
    return np.maximum(constant - (heads[:, 0] - heads[:, 1]), 0.0), constant


def twins(sketches: Sequence[NDArray[np.float16] | None]) -> Flags:
    """Return which networks are near-twins of which, shape (n, n): every network is its own.

    One without a sketch, or with one of another size, is nobody's twin.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2, 50, 10))
    >>> twins([sketch(logits[0]), sketch(logits[0] + 0.01 * logits[1]), sketch(logits[1]), None]).sum(axis=1).tolist()
    [2, 2, 1, 1]
    """
    same = np.eye(len(sketches), dtype=bool)
    sizes = np.array([0 if one is None else max(one.size - HEAD, 0) for one in sketches])
    for size in set(sizes[sizes > 0].tolist()):
        members = np.flatnonzero(sizes == size)
        table = np.stack([np.asarray(sketches[index], dtype=np.float64)[HEAD:] for index in members.tolist()])
        norms = np.linalg.norm(table, axis=1)
        cosines = (table @ table.T) / np.maximum(np.outer(norms, norms), np.finfo(np.float64).tiny)
        same[np.ix_(members, members)] |= cosines > TWINS
    return same
