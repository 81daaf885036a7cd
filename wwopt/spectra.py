"""Eigenvalues of W'W by the cheapest exact route: those of the smaller Gram matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["eigenvalues", "zero_limit"]

Floats = NDArray[np.float64]


def eigenvalues(stack: Floats) -> Floats:
    """Eigenvalues of each W'W of a stack, which are the squared singular values of W.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Matrices with ``N >= M``.

    Returns
    -------
    array, shape (k, M)
        Ascending, not negative; NaN for a matrix with elements that are not finite or whose squares
        overflow.

    Notes
    -----
    The absolute error is about ``eps lambda_max``: an eigenvalue below ``zero_limit`` cannot be told from zero.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        gram = np.stack([W.T @ W for W in stack])  # one at a time: BLAS then computes only half of it
        finite = np.isfinite(np.trace(gram, axis1=1, axis2=2))
    evals = np.full(gram.shape[:2], np.nan)
    evals[finite] = np.linalg.eigvalsh(gram[finite])
    np.maximum(evals, 0.0, out=evals)
    return evals


def zero_limit(lambda_max: float, N: int) -> float:
    """Largest eigenvalue that counts as zero: ``N eps lambda_max``, the rounding error of the Gram matrix."""
    return float(lambda_max * N * np.finfo(np.float64).eps)
