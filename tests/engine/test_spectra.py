"""Eigenvalues against an SVD."""

from __future__ import annotations

import numpy as np
import pytest

from wwopt.spectra import eigenvalues, zero_limit


@pytest.mark.parametrize("shape", [(1, 5, 1), (3, 9, 4), (1, 40, 40), (7, 64, 48)])
def test_equal_squared_singular_values(shape, rng):
    """The eigenvalues of W'W are the squares of W's singular values, ascending."""
    W = rng.normal(size=shape)
    expected = np.linalg.svd(W, compute_uv=False)[:, ::-1] ** 2
    np.testing.assert_allclose(eigenvalues(W), expected, atol=1e-12 * expected.max())


def test_known_spectrum():
    """A diagonal matrix has the squares of its diagonal."""
    np.testing.assert_allclose(eigenvalues(np.diag([3.0, 1.0, 2.0])[None]), [[1.0, 4.0, 9.0]])


def test_rank_deficient_is_zero_within_the_limit(rng):
    """Eigenvalues of the null space come out below the limit under which they count as zero."""
    W = np.outer(rng.normal(size=50), rng.normal(size=30))[None]
    evals = eigenvalues(W)[0]
    assert np.count_nonzero(evals > zero_limit(evals[-1], 50)) == 1
    assert evals.min() >= 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_one_bad_matrix_does_not_spoil_its_neighbours(bad, rng):
    """NaN, infinity and overflow make NaN of their own matrix only."""
    W = rng.normal(size=(3, 6, 4))
    expected = eigenvalues(W)
    W[1, 2, 3] = bad
    evals = eigenvalues(W)
    assert np.isnan(evals[1]).all()
    np.testing.assert_array_equal(evals[[0, 2]], expected[[0, 2]])
