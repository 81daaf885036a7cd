"""Evened matrices: nothing is left of the scales of rows and columns and of the distribution of the elements."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from scipy.linalg import lapack

from wwopt.null.laws import tracy_widom_quantile, tracy_widom_scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Floats, Values

__all__ = ["count_evened_spikes", "even_norms", "normal_scores"]

SWEEPS = 20  # over the rows and the columns
FEW = 1 << 12  # elements up to which they are sorted; of more the ranks are counted, to a relative precision of 1/128
FALSE_ALARM = 0.01  # probability that noise shows a spike
TIED = 0.01  # share of zeros from which they are drawn anew: a rank that many elements share is no Gaussian one


def even_norms(stack: Values, *, jointly: bool = False) -> Floats:
    """Divide the rows and the columns of matrices by numbers until each row has the same norm, and each column.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Finite values. A row or a column of zeros stays.
    jointly : bool
        One number for the same row, or column, of all k matrices; else each matrix for itself.

    Returns
    -------
    array, shape (k, N, M)
        The same for a stack with its rows and columns multiplied by positive numbers.

    References
    ----------
    Sinkhorn, Knopp (1967), Pacific J. Math. 21(2).

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(1, 60, 50))
    >>> scaled = W * np.linspace(1, 9, 60)[:, None] * np.linspace(1, 9, 50)
    >>> np.allclose(even_norms(W), even_norms(scaled))
    True
    """
    values = np.asarray(stack, dtype=np.float64)
    largest = float(np.abs(values).max())
    values = values / largest if largest > 0 else values
    squares = np.square(values)
    if jointly:
        squares = squares.sum(axis=0, keepdims=True)
    rows = np.ones((len(squares), 1, squares.shape[1]))
    for _ in range(SWEEPS):
        columns = _inverse(rows @ squares).swapaxes(1, 2)
        rows = _inverse(squares @ columns).swapaxes(1, 2)
    evened: Floats = values * np.sqrt(rows.swapaxes(1, 2)) * np.sqrt(columns.swapaxes(1, 2))
    return evened


def normal_scores(values: Floats) -> Floats:
    """Replace each element by the normal quantile of its rank; many equal zeros get random ranks among theirs.

    Examples
    --------
    >>> normal_scores(np.array([[7.0, -1.0, 100.0]])).round(2).tolist()
    [[0.0, -0.97, 0.97]]
    """
    return _normal_scores(values.ravel()).reshape(values.shape)


def count_evened_spikes(evened: Floats) -> int:
    """Count the eigenvalues of W'W beyond those of Gaussian noise, over all matrices of an evened stack.

    Noise shows none in 99% of the cases. Nothing is decomposed: the number of eigenvalues beyond the edge is that of
    the positive pivots of W'W less the edge (Sylvester's law of inertia).

    Parameters
    ----------
    evened : array, shape (k, N, M)
        Of `normal_scores` after `even_norms`, ``N >= M``.

    Returns
    -------
    int

    Notes
    -----
    The variance of the bulk is taken to be that of all elements. Strong spikes make the edge too high by their share
    of the energy, so that weak ones beside them are not counted.

    References
    ----------
    Johnstone (2001), Annals of Statistics 29(2).

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_t(3, size=(1, 90, 60))
    >>> signal = noise + 3 * np.outer(np.linspace(-1, 1, 90), np.linspace(-1, 1, 60))
    >>> [count_evened_spikes(normal_scores(even_norms(W))) for W in (noise, signal)]
    [0, 1]
    """
    k, N, M = evened.shape
    centre, width = tracy_widom_scaling(N, M)
    edge = centre + tracy_widom_quantile(FALSE_ALARM / k) * width
    return sum(_above(W.T @ W, edge * float(np.square(W).mean())) for W in evened)


def _above(gram: Floats, limit: float) -> int:
    """Count the eigenvalues of a symmetric matrix above a limit; the matrix is overwritten."""
    gram[np.diag_indices_from(gram)] -= limit
    pivots, where, _ = lapack.dsytrf(gram, lower=1, overwrite_a=1)
    single = where > 0
    return int(np.count_nonzero(np.diag(pivots)[single] > 0) + np.count_nonzero(~single) // 2)  # a pair has both signs


def _inverse(sums: Floats) -> Floats:
    return np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)


def _normal_scores(x: Floats) -> Floats:
    scores = _by_sorting(x) if len(x) <= FEW else _by_counting(x)
    zero = x == 0
    if np.count_nonzero(zero) > TIED * len(x):
        below = np.count_nonzero(x < 0)
        draws = np.random.default_rng(0).random(np.count_nonzero(zero))
        scores[zero] = special.ndtri((below + draws * len(draws)) / len(x))
    return scores


def _by_sorting(x: Floats) -> Floats:
    scores = np.empty_like(x)
    scores[np.argsort(x.astype(np.float32), kind="stable")] = _quantiles(len(x))
    return scores


@lru_cache(maxsize=32)
def _quantiles(n: int) -> Floats:
    quantiles: Floats = special.ndtri((np.arange(n) + 0.5) / n)
    quantiles.flags.writeable = False
    return quantiles


def _by_counting(x: Floats) -> Floats:
    """Scores of the mean rank among the elements whose sign, exponent and first bits are the same."""
    bits: NDArray[np.int32] = x.astype(np.float32).view(np.int32)
    keys = (np.where(bits < 0, ~bits | np.int32(-(2**31)), bits) >> 16) + (1 << 15)
    counts = np.bincount(keys, minlength=1 << 16)
    middle = np.cumsum(counts) - counts / 2
    scores = np.zeros(len(counts))
    scores[counts > 0] = special.ndtri(middle[counts > 0] / len(x))
    found: Floats = scores[keys]
    return found
