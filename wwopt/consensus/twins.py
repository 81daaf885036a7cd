"""Near-twins: networks so alike that their agreement says nothing, told by small sketches of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from wwopt.arrays import Flags

__all__ = ["TWINS", "sketch", "twins"]

TWINS = 0.995  # correlation of centred outputs, above which two networks are near-twins
ROWS, COLUMNS = 120, 16  # 1920 numbers of 2 bytes, under 4 KB


def sketch(outputs: ArrayLike) -> NDArray[np.float16]:
    """Fingerprint of a network's raw outputs, small enough to keep for every trial of a study.

    Parameters
    ----------
    outputs : array_like, shape (inputs, outputs) or (inputs,)
        What the network answers, before any softmax; longer shapes have positions that count as inputs.

    Returns
    -------
    ndarray of float16, shape (m,)
        At most 1920 numbers: for 120 of the inputs, evenly spaced, the outputs (or 16 fixed random sums of them),
        without their means over the outputs and over the inputs, of norm sqrt(m). Empty where an output is not finite,
        or all are alike. The inner product of two sketches, divided by m, is the correlation of the outputs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 10))
    >>> one, copy, other = sketch(logits), sketch(2 * logits + 1), sketch(rng.normal(size=(50, 10)))
    >>> round(float(one @ copy.astype(float)) / one.size, 3), abs(float(one @ other.astype(float)) / one.size) < 0.2
    (1.0, True)
    """
    array = np.asarray(outputs, dtype=np.float64)
    rows = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(np.int64))]
    if not np.isfinite(rows).all():
        return np.zeros(0, dtype=np.float16)
    if rows.shape[1] > 1:
        rows = rows - rows.mean(axis=1, keepdims=True)
    if rows.shape[1] > COLUMNS:
        rows = rows @ np.random.default_rng(0).choice([-1.0, 1.0], size=(rows.shape[1], COLUMNS))
    flat = (rows - rows.mean(axis=0)).ravel()
    norm = np.linalg.norm(flat)
    if norm <= 1e-9 * np.abs(array).max():
        return np.zeros(0, dtype=np.float16)
    return np.asarray(flat / norm * np.sqrt(flat.size), dtype=np.float16)


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
    sizes = np.array([0 if one is None else one.size for one in sketches])
    for size in set(sizes[sizes > 0].tolist()):
        members = np.flatnonzero(sizes == size)
        table = np.stack([np.asarray(sketches[index], dtype=np.float64) for index in members.tolist()])
        norms = np.linalg.norm(table, axis=1)
        cosines = (table @ table.T) / np.outer(norms, norms)
        same[np.ix_(members, members)] |= cosines > TWINS
    return same
