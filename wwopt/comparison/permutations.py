"""Permutations of rows and columns that turn one matrix into another."""

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

__all__ = ["Permutation", "Reordering", "find_reordering", "same_permutation"]

Permutation = NDArray[np.intp]

FEATURES = 8
CLOSE = 0.1  # relative distance that rounding or quantisation may add to a permutation
AGREE = 0.9  # share of positions in which two permutations must agree; the rest are indistinguishable units
BLOCK = 1 << 21  # elements converted at a time


@dataclass(frozen=True)
class Reordering:
    """Permutations with ``B ~ A[rows][:, columns]``; None for the identity."""

    rows: Permutation | None
    columns: Permutation | None


def find_reordering(A: Values, B: Values, columns: int) -> Reordering | None:
    """Find the permutation of rows, of columns or of both that turns A into B; None where there is none.

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
    >>> find_reordering(A, A[[1, 0, 2, 4, 3]], 7).rows.tolist()
    [1, 0, 2, 4, 3]
    """
    rows = _match(_projected(A), _projected(B))
    if _distance(A, B, rows, None) < CLOSE:
        return Reordering(rows, None)
    sideways = (_by_columns(A, columns), _by_columns(B, columns))
    cols = _match(*(_projected(side) for side in sideways))
    if _distance(*sideways, cols, None) < CLOSE:
        return Reordering(None, cols)
    rows = _match(_sorted(A), _sorted(B))
    moved = _by_columns(A[rows], columns)
    cols = _match(_projected(moved), _projected(sideways[1]))
    if _distance(moved, sideways[1], cols, None) < CLOSE:
        return Reordering(rows, cols)
    return None


def same_permutation(first: Permutation, second: Permutation) -> bool:
    """Whether two permutations agree, also where one of them moves blocks of the other's units, as after a flattening.

    Examples
    --------
    >>> same_permutation(np.array([1, 0]), np.array([2, 3, 0, 1]))
    True
    """
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
    """Random projections of each row that no permutation of its columns changes."""
    directions = np.random.default_rng(0).normal(size=(A.shape[1], FEATURES))
    return _by_blocks(A, lambda block: np.sort(block, axis=1) @ directions)


def _by_blocks(A: Values, features: Callable[[Floats], Floats]) -> Floats:
    rows = max(1, BLOCK // A.shape[1])
    return np.concatenate([features(A[start : start + rows].astype(np.float64)) for start in range(0, len(A), rows)])


def _match(before: Floats, after: Floats) -> Permutation:
    """Match each row of ``after`` with the nearest row of ``before``, each only once."""
    nearest: Permutation = cKDTree(before).query(after)[1]
    taken, first = np.unique(nearest, return_index=True)
    left = np.ones(len(nearest), dtype=bool)
    left[first] = False
    nearest[left] = np.setdiff1d(np.arange(len(nearest)), taken)
    return nearest


def _distance(A: Values, B: Values, rows: Permutation, columns: Permutation | None) -> float:
    moved = A[rows] if columns is None else A[rows][:, columns]
    difference = _norm(B - moved)
    return difference / norm if (norm := _norm(A)) > 0 else math.inf


def _norm(A: Values) -> float:
    return math.sqrt(float(sum(np.square(row_block, dtype=np.float64).sum() for row_block in np.array_split(A, 8))))
