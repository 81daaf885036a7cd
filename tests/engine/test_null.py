"""What noise shows: the Marchenko-Pastur law against random matrices, and correlation traps."""

from __future__ import annotations

import numpy as np
import pytest

from wwopt.null import correlation_traps, marchenko_pastur_edge, marchenko_pastur_quantiles
from wwopt.spectra import eigenvalues


@pytest.mark.parametrize(("N", "M"), [(1000, 1000), (1500, 1000), (4000, 500)])
def test_quantiles_are_those_of_random_matrices(N, M, rng):
    """The law's quantiles agree with the eigenvalues of a large Gaussian matrix within 2%."""
    levels = np.linspace(0.05, 0.95, 19)
    observed = np.quantile(eigenvalues(rng.normal(size=(1, N, M)))[0] / N, levels)
    np.testing.assert_allclose(marchenko_pastur_quantiles(N / M, levels), observed, rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("Q", [1.0, 2.0, 7.5])
def test_law_has_unit_mean(Q):
    """The mean of the law is the variance of the elements."""
    levels = (np.arange(4000) + 0.5) / 4000
    assert marchenko_pastur_quantiles(Q, levels).mean() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("Q", [1.0, 4.0])
def test_support_is_bounded_by_the_edges(Q):
    """The extreme quantiles are the edges (1 -+ Q^-1/2)^2, and the upper one is `marchenko_pastur_edge`."""
    low, high = marchenko_pastur_quantiles(Q, np.array([0.0, 1.0]))
    assert (low, high) == pytest.approx(((1 - Q**-0.5) ** 2, (1 + Q**-0.5) ** 2), abs=1e-12)
    assert marchenko_pastur_edge(int(400 * Q), 400, 2.0) == pytest.approx(2 * 400 * Q * high)


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
