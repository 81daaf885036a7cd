"""What noise shows in the limit: the laws of Marchenko and Pastur and of Tracy and Widom, against random matrices."""

from __future__ import annotations

import numpy as np
import pytest

from wwopt.null.laws import (
    marchenko_pastur_edge,
    marchenko_pastur_quantiles,
    tracy_widom_quantile,
    tracy_widom_scaling,
    tracy_widom_sf,
)
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


def test_tracy_widom_quantiles():
    """The law's tail is the one in the tables: 95, 99 and 99.9% lie below .979, 2.024 and 3.272."""
    z = np.array([0.9793, 2.0234, 3.2724])
    np.testing.assert_allclose(tracy_widom_sf(z), [0.05, 0.01, 0.001], atol=2e-4)
    assert [tracy_widom_quantile(level) for level in (0.05, 0.01, 0.001)] == pytest.approx(z, rel=0.02)


@pytest.mark.parametrize(("N", "M"), [(60, 60), (300, 40)])
def test_largest_eigenvalue_follows_tracy_widom(N, M, rng):
    """Of 800 Gaussian matrices the largest eigenvalue, centred and scaled, has the law's mean and spread."""
    centre, width = tracy_widom_scaling(N, M)
    z = (eigenvalues(rng.normal(size=(800, N, M)))[:, -1] - centre) / width
    assert (z.mean(), z.std()) == pytest.approx((-1.2065, 1.268), abs=0.13)
