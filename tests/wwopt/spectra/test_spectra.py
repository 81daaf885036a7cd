"""Eigenvalues against an SVD, on every route."""

from __future__ import annotations

import numpy as np
import pytest

import wwopt
from wwopt.spectra import decomposition, eigenvalues, zero_limit


@pytest.fixture(params=["lapack", "numpy", "torch"])
def decompose(request, monkeypatch):
    """The three routes: LAPACK in place, NumPy where that is not to be had, torch on a device."""
    if request.param == "numpy":
        monkeypatch.setattr(decomposition, "is_available", lambda: False)
    device = "cpu:0" if request.param == "torch" else "cpu"
    return lambda stack, **options: eigenvalues(stack, device=device, **options)


@pytest.mark.parametrize("shape", [(1, 5, 1), (3, 9, 4), (1, 40, 40), (7, 64, 48), (1, 1500, 400)])
def test_equal_squared_singular_values(decompose, shape, rng):
    """The eigenvalues of W'W are the squares of W's singular values, ascending."""
    W = rng.normal(size=shape)
    expected = np.linalg.svd(W, compute_uv=False)[:, ::-1] ** 2
    np.testing.assert_allclose(decompose(W), expected, atol=1e-12 * expected.max())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "arrange", [np.asarray, lambda W: W.swapaxes(1, 2).copy().swapaxes(1, 2), lambda W: W[:, ::-1]]
)
def test_layout_and_type_do_not_matter(decompose, arrange, dtype, rng):
    """Rows, columns or strides: the values count, each converted exactly."""
    W = rng.normal(size=(2, 70, 50)).astype(dtype)
    expected = eigenvalues(W.astype(np.float64))
    np.testing.assert_allclose(decompose(arrange(W)), expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_known_spectrum(decompose):
    """A diagonal matrix has the squares of its diagonal."""
    np.testing.assert_allclose(decompose(np.diag([3.0, 1.0, 2.0])[None]), [[1.0, 4.0, 9.0]])


def test_rank_deficient_is_zero_within_the_limit(decompose, rng):
    """Eigenvalues of the null space come out below the limit under which they count as zero."""
    W = np.outer(rng.normal(size=50), rng.normal(size=40))[None]
    evals = decompose(W)[0]
    assert np.count_nonzero(evals > zero_limit(evals[-1], 50)) == 1
    assert evals.min() >= 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("M", [4, 40])
def test_one_bad_matrix_does_not_spoil_its_neighbours(decompose, bad, M, rng):
    """NaN, infinity and overflow make NaN of their own matrix only."""
    W = rng.normal(size=(3, 60, M))
    expected = decompose(W)
    W[1, 2, 3] = bad
    evals = decompose(W)
    assert np.isnan(evals[1]).all()
    np.testing.assert_array_equal(evals[[0, 2]], expected[[0, 2]])


def relative_error_of_alpha(source):
    """Largest relative difference of alpha between the two precisions."""
    double = wwopt.analyze(source, randomize=False).details["alpha"]
    single = wwopt.analyze(source, randomize=False, precision="single").details["alpha"]
    return (double / single - 1).abs().max()


def test_single_precision_keeps_alpha_of_trained_networks(minilm):
    """On MiniLM alpha in single precision differs by less than a thousandth."""
    assert 0 < relative_error_of_alpha(minilm) <= 1e-3


@pytest.mark.parametrize(("N", "M"), [(64, 64), (256, 128), (512, 512)])
def test_single_precision_keeps_alpha_of_noise(N, M, rng):
    """On Gaussian matrices too."""
    source = {f"{i}.weight": rng.normal(size=(N, M)) for i in range(10)}
    assert 0 < relative_error_of_alpha(source) <= 1e-3


def test_spectrum_too_wide_for_single_precision_is_computed_in_double(heavy_tailed):
    """Eigenvalues over more than five decades are not cut off: the layer falls back to double, bit for bit."""
    source = {"wide.weight": heavy_tailed(200, 150).numpy() * np.logspace(-4, 0, 150)}
    assert relative_error_of_alpha(source) == 0
