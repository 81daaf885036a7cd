"""`eigenvalues`: of W'W, computed exactly from the smaller Gram matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from wwopt.spectra.lapack import add_gram, eigenvalues_in_place, is_available

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wwopt.arrays import Floats, Values

__all__ = ["Precision", "eigenvalues", "row_blocks", "zero_limit"]

Precision = Literal["double", "single"]

DTYPES: dict[str, type[np.float64 | np.float32]] = {"double": np.float64, "single": np.float32}
BLOCK = 1 << 19  # elements converted at a time, so that a layer needs little more memory than its Gram matrix
FEWEST_ROWS = 256  # of a block: with fewer the Gram matrix is fetched from memory too often
SMALL = 32  # below this size one call of NumPy for all matrices beats a call of LAPACK for each


def eigenvalues(stack: Values, *, precision: Precision = "double", device: str = "cpu") -> Floats:
    """Eigenvalues of each W'W of a stack, which are the squared singular values of W.

    Parameters
    ----------
    stack : array, shape (k, N, M)
        Matrices with ``N >= M``, of any float type; only a block of rows at a time is converted.
    precision : {"double", "single"}
        Arithmetic to compute in.
    device : str
        "cpu", or a device of torch such as "cuda".

    Returns
    -------
    array, shape (k, M)
        Ascending, not negative; NaN for a matrix with elements that are not finite or whose squares
        overflow.

    Notes
    -----
    The absolute error is about ``eps lambda_max``: an eigenvalue below `zero_limit` cannot be told from zero.

    Examples
    --------
    >>> eigenvalues(np.array([[[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]])).tolist()
    [[4.0, 9.0]]
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite comes out as NaN
        if device != "cpu":
            evals = _on_device(stack, DTYPES[precision], device)
        elif stack.shape[2] < SMALL or not is_available():
            evals = _all_at_once(stack, DTYPES[precision])
        else:
            evals = np.stack([_one_by_one(W, DTYPES[precision]) for W in stack])
    np.maximum(evals, 0.0, out=evals)
    return evals


def zero_limit(lambda_max: float, N: int, *, precision: Precision = "double") -> float:
    """Largest eigenvalue that counts as zero: ``N eps lambda_max``, the rounding error of the Gram matrix.

    Examples
    --------
    >>> zero_limit(1.0, 1000)
    2.220446049250313e-13
    """
    return float(lambda_max * N * np.finfo(DTYPES[precision]).eps)


def row_blocks(W: Values) -> Iterator[Values]:
    """Cut a matrix into blocks of rows, each of about half a million elements."""
    rows = max(FEWEST_ROWS, BLOCK // W.shape[1])
    return (W[start : start + rows] for start in range(0, len(W), rows))


def _one_by_one(W: Values, dtype: type[np.float64 | np.float32]) -> Floats:
    """Eigenvalues of one W'W: the Gram matrix is summed over blocks of rows and decomposed in place."""
    gram = np.zeros((W.shape[1], W.shape[1]), dtype)
    for block in row_blocks(W):
        add_gram(gram, _contiguous(block, dtype))
    if not np.isfinite(np.trace(gram)):
        return np.full(len(gram), np.nan)
    return eigenvalues_in_place(gram).astype(np.float64)


def _contiguous(block: Values, dtype: type[np.float64 | np.float32]) -> Values:
    """Convert a block, by rows or by columns as it lies in memory."""
    by_columns = block.strides[0] < block.strides[1]
    return np.asfortranarray(block, dtype) if by_columns else np.ascontiguousarray(block, dtype)


def _all_at_once(stack: Values, dtype: type[np.float64 | np.float32]) -> Floats:
    converted = np.ascontiguousarray(stack, dtype)
    gram: Values = np.matmul(converted.swapaxes(1, 2), converted)
    finite = np.isfinite(np.trace(gram, axis1=1, axis2=2))
    evals = np.full(gram.shape[:2], np.nan)
    evals[finite] = np.linalg.eigvalsh(gram[finite])
    return evals


def _on_device(stack: Values, dtype: type[np.float64 | np.float32], device: str) -> Floats:
    """Eigenvalues by torch on another device, one matrix at a time to fit its memory."""
    import torch  # noqa: PLC0415  (heavy)

    evals = np.full((len(stack), stack.shape[2]), np.nan)
    for row, W in zip(evals, stack, strict=True):
        values = torch.from_numpy(np.ascontiguousarray(W, dtype)).to(device)
        gram = values.mT @ values
        if torch.isfinite(gram.trace()):
            row[:] = torch.linalg.eigvalsh(gram).cpu().numpy()
    return evals
