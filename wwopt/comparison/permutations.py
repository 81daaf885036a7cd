"""Whether a matrix is another one with its rows or columns in another order, and which order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from wwopt.arrays import Floats, Values

__all__ = ["Reordered", "find_order", "same_order"]

Order = NDArray[np.intp]

FEATURES = 8
CLOSE = 0.1  # relative distance that rounding or quantisation may leave beside a change of order
AGREE = 0.9  # share of positions in which two orders must agree; the rest are units that nobody can tell apart
BLOCK = 1 << 21


@dataclass(frozen=True)
class Reordered:
    """``B ~ A[rows][:, columns]``; None where the order is as it was."""

    rows: Order | None
    columns: Order | None


def find_order(A: Values, B: Values, columns: int) -> Reordered | None:
    """Find the order of rows, of columns or of both that turns A into B; None where there is none.

    Rows are recognised by random projections where the columns stand still, else by their values in ascending order.

    Parameters
    ----------
    A, B : array, shape (rows, columns * k)
        Finite, of the same shape.
    columns : int
        Number of columns, which move as blocks of ``k``.

    Examples
    --------
    >>> A = np.random.default_rng(0).normal(size=(5, 7))
    >>> find_order(A, A[[1, 0, 2, 4, 3]], 7).rows.tolist()
    [1, 0, 2, 4, 3]
    """
    rows = _match(_projected(A), _projected(B))
    if _distance(A, B, rows, None) < CLOSE:
        return Reordered(rows, None)
    sideways = (_by_columns(A, columns), _by_columns(B, columns))
    cols = _match(*(_projected(side) for side in sideways))
    if _distance(*sideways, cols, None) < CLOSE:
        return Reordered(None, cols)
    rows = _match(_sorted(A), _sorted(B))
    moved = _by_columns(A[rows], columns)
    cols = _match(_projected(moved), _projected(sideways[1]))
    if _distance(moved, sideways[1], cols, None) < CLOSE:
        return Reordered(rows, cols)
    return None


def same_order(first: Order, second: Order) -> bool:
    """Whether two orders are one, also where one of them moves blocks of the other's units, as after a flattening."""
    short, long = sorted((first, second), key=len)
    width, rest = divmod(len(long), len(short))
    if rest:
        return False
    blocks = (short[:, None] * width + np.arange(width)).ravel()
    return bool(np.mean(blocks == long) >= AGREE)


def _by_columns(A: Values, columns: int) -> Values:
    return A.reshape(len(A), columns, -1).swapaxes(0, 1).reshape(columns, -1)


def _projected(A: Values) -> Floats:
    """Random projections of each row."""
    directions = np.random.default_rng(0).normal(size=(A.shape[1], FEATURES))
    return _by_blocks(A, lambda block: block @ directions)


def _sorted(A: Values) -> Floats:
    """Projections of each row that do not depend on the order of its columns."""
    directions = np.random.default_rng(0).normal(size=(A.shape[1], FEATURES))
    return _by_blocks(A, lambda block: np.sort(block, axis=1) @ directions)


def _by_blocks(A: Values, features: Callable[[Floats], Floats]) -> Floats:
    rows = max(1, BLOCK // A.shape[1])
    return np.concatenate([features(A[start : start + rows].astype(np.float64)) for start in range(0, len(A), rows)])


def _match(before: Floats, after: Floats) -> Order:
    """Give each row of ``after`` the nearest row of ``before``, each only once."""
    nearest: Order = cKDTree(before).query(after)[1]
    taken, first = np.unique(nearest, return_index=True)
    left = np.ones(len(nearest), dtype=bool)
    left[first] = False
    nearest[left] = np.setdiff1d(np.arange(len(nearest)), taken)
    return nearest


def _distance(A: Values, B: Values, rows: Order, columns: Order | None) -> float:
    moved = A[rows] if columns is None else A[rows][:, columns]
    difference = _norm(B - moved)
    return difference / norm if (norm := _norm(A)) > 0 else math.inf


def _norm(A: Values) -> float:
    return math.sqrt(float(sum(np.square(row_block, dtype=np.float64).sum() for row_block in np.array_split(A, 8))))
