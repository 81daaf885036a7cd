"""Correlation traps, and the moments of the elements from which they follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from wwopt.null.laws import marchenko_pastur_edge
from wwopt.null.traps import correlation_traps
from wwopt.spectra import eigenvalues, moments_of, pool


@pytest.mark.parametrize("mean", [0.0, 0.3, 1e5])
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e30])
def test_moments_equal_scipy(mean, scale, rng):
    """Mean, deviation, kurtosis and extremes are NumPy's and SciPy's, far from the mean of zero and from scale one."""
    stack = rng.laplace(size=(3, 70, 50)) + mean + np.arange(3)[:, None, None]
    for W, one in zip(stack, moments_of(stack * scale), strict=True):
        unit = one.unit / scale
        assert (one.mean * unit, one.std * unit) == pytest.approx((W.mean(), W.std()), rel=1e-6)
        assert one.kurtosis == pytest.approx(stats.kurtosis(W, axis=None, fisher=False), rel=1e-6)
        assert (one.low * unit, one.high * unit) == pytest.approx((W.min(), W.max()))
    together = pool(moments_of(stack * scale))
    assert together.kurtosis == pytest.approx(stats.kurtosis(stack, axis=None, fisher=False), rel=1e-6)
    assert together.size == stack.size


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_order_in_memory_does_not_matter(dtype, rng):
    """By rows or by columns, in any precision, the elements have the same moments."""
    stack = rng.normal(size=(2, 300, 200)).astype(dtype)
    turned = np.ascontiguousarray(stack.swapaxes(1, 2)).swapaxes(1, 2)
    for left, right in zip(moments_of(stack), moments_of(turned), strict=True):
        assert left.sums == pytest.approx(right.sums, rel=1e-9)


def test_noise_shows_no_trap():
    """Of 400 Gaussian matrices of many shapes at most 4% raise the alarm, which is set to 1% each way."""
    rng = np.random.default_rng(1)
    shapes = rng.integers(5, 120, size=(400, 2))
    alarms = [correlation_traps(rng.normal(size=(1, *sorted(shape)[::-1]))).num_traps > 0 for shape in shapes]
    assert np.mean(alarms) <= 0.04


def test_shuffling_changes_nothing(rng):
    """Traps depend on the elements only, not on where they stand."""
    W = rng.normal(size=(1, 60, 40))
    W[0, :2, 0] = 50
    shuffled = rng.permutation(W.ravel()).reshape(W.shape)
    assert correlation_traps(W).num_traps == correlation_traps(shuffled).num_traps == 2


@pytest.mark.parametrize("count", [1, 3])
def test_planted_elements_are_counted_once_each(count, rng):
    """Elements far out are traps, one each, and their energy is their share of the sum of squares."""
    W = rng.normal(size=(1, 200, 100))
    W[0, np.arange(count), np.arange(count)] = 30
    traps = correlation_traps(W)
    assert traps.num_traps == count
    assert traps.energy == pytest.approx(count * 900 / np.var(W) / W.size, rel=0.01)


def test_planted_trap_is_an_eigenvalue_of_the_shuffled_matrix(rng):
    """What the screen calls a trap does stand out from the bulk when the matrix is shuffled and decomposed."""
    W = rng.normal(size=(200, 100))
    W[3, 4] = 30
    assert correlation_traps(W[None]).num_traps == 1
    shuffled = rng.permutation(W.ravel()).reshape(1, *W.shape)
    largest = eigenvalues(shuffled - shuffled.mean())[0]
    edge = marchenko_pastur_edge(200, 100, 1.0)
    assert largest[-1] > 1.5 * edge > largest[-2]


def test_shifted_mean_is_one_trap(rng):
    """A mean beyond s (NM)^-1/4 is one trap; half of that is none."""
    W = rng.normal(size=(1, 200, 200))
    limit = (200 * 200) ** -0.25
    W -= W.mean()
    assert correlation_traps(W + 1.2 * limit).num_traps == 1
    assert correlation_traps(W + 0.5 * limit).num_traps == 0


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_scale_does_not_matter(scale, rng):
    """Rescaled weights have the same traps and the same energy."""
    W = rng.normal(size=(2, 50, 40))
    W[0, 0, 0] = 40
    traps, scaled = correlation_traps(W), correlation_traps(W * scale)
    assert scaled.num_traps == traps.num_traps == 1
    assert scaled.energy == pytest.approx(traps.energy)


def test_zeros_have_no_trap():
    """A layer of zeros has no variance to stand out from."""
    traps = correlation_traps(np.zeros((1, 30, 20)))
    assert (traps.num_traps, traps.energy) == (0, 0.0)
