"""Every metric against NumPy, SciPy or its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import spatial, stats

from wwopt.metrics import METRICS, ElementStatistics, Layers, invariant
from wwopt.null import correlation_traps, marchenko_pastur_quantiles
from wwopt.powerlaw import fit_powerlaw
from wwopt.spectra import eigenvalues, moments_of, zero_limit

N, M = 90, 60


@pytest.fixture
def W(rng):
    return rng.normal(size=(N, M)) * (rng.pareto(1.5, size=(N, 1)) + 0.1)


def layer_of(W, estimator="mle"):
    """A layer of one matrix."""
    evals = eigenvalues(W[None])[0]
    tol = zero_limit(evals[-1], len(W))
    fit = fit_powerlaw(evals[evals > tol], estimator=estimator)
    elements = ElementStatistics(moments_of(W[None])[0], correlation_traps(W[None]))
    return Layers(evals[None], 1, *W.shape, np.array([tol]), [fit], estimator, np.array([[1.0, 9.0]]), [elements])


def value(name, W):
    return METRICS[name].compute(layer_of(W, "tpl" if name == "Lambda" else "mle"))[0]


ORACLES = {
    "norm": lambda W: np.linalg.norm(W, "fro") ** 2,
    "log_norm": lambda W: math.log10(np.linalg.norm(W, "fro") ** 2),
    "spectral_norm": lambda W: np.linalg.norm(W, 2) ** 2,
    "log_spectral_norm": lambda W: 2 * math.log10(np.linalg.norm(W, 2)),
    "lambda_max": lambda W: np.linalg.norm(W, 2) ** 2,
    "sv_max": lambda W: np.linalg.norm(W, 2),
    "sv_min": lambda W: np.linalg.norm(W, -2),
    "stable_rank": lambda W: (np.linalg.norm(W, "fro") / np.linalg.norm(W, 2)) ** 2,
    "effective_rank": lambda W: math.exp(stats.entropy(np.linalg.svd(W, compute_uv=False) ** 2)),
    "entropy": lambda W: stats.entropy(np.linalg.svd(W, compute_uv=False) ** 2) / math.log(W.shape[1]),
    "matrix_rank": np.linalg.matrix_rank,
    "rank_loss": lambda W: W.shape[1] - np.linalg.matrix_rank(W),
}


@pytest.mark.parametrize("name", ORACLES)
def test_equals_numpy_and_scipy(name, W):
    """Norms, ranks and entropies are those of NumPy and SciPy."""
    assert value(name, W) == pytest.approx(ORACLES[name](W), rel=1e-9)


def test_log_alpha_norm_is_a_schatten_norm(W):
    """``log10 sum lambda^alpha`` by its definition."""
    expected = math.log10((layer_of(W).evals ** value("alpha", W)).sum())
    assert value("log_alpha_norm", W) == pytest.approx(expected, rel=1e-12)
    assert value("alpha_weighted", W) == pytest.approx(value("alpha", W) * value("log_spectral_norm", W))


def test_rand_distance_is_jensen_shannon(W):
    """The distance to noise is SciPy's Jensen-Shannon distance between the two normalised spectra."""
    noise = marchenko_pastur_quantiles(N / M, (np.arange(M) + 0.5) / M)
    expected = spatial.distance.jensenshannon(layer_of(W).evals[0], noise)
    assert value("rand_distance", W) == pytest.approx(expected, rel=1e-9)


def test_noise_looks_like_noise(rng):
    """A Gaussian matrix is near Marchenko-Pastur, has no spike, and its bulk ends at its largest eigenvalue."""
    noise = rng.normal(size=(600, 300))
    assert value("rand_distance", noise) < 0.02
    assert value("num_spikes", noise) == 0
    assert value("mp_softrank", noise) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("spikes", [1, 4])
def test_planted_spikes_are_counted(spikes, rng):
    """Orthogonal directions far stronger than the noise are as many spikes, and soften the rank."""
    u, _ = np.linalg.qr(rng.normal(size=(600, spikes)))
    v, _ = np.linalg.qr(rng.normal(size=(300, spikes)))
    W = rng.normal(size=(600, 300)) + 100 * u @ v.T
    assert value("num_spikes", W) == spikes
    assert value("mp_softrank", W) == pytest.approx((600**0.5 + 300**0.5) ** 2 / value("spectral_norm", W), rel=0.03)


def test_identity_in_closed_form():
    """All eigenvalues one: full ranks, the largest entropy, no power law."""
    expected = {"stable_rank": 8, "effective_rank": 8, "matrix_rank": 8, "entropy": 1, "log_norm": math.log10(8)}
    assert {name: value(name, np.eye(8)) for name in expected} == pytest.approx(expected)
    assert math.isnan(value("alpha", np.eye(8)))


def test_rank_one_in_closed_form(rng):
    """Rank one: every rank is one, and there is no entropy to speak of."""
    W = np.outer(rng.normal(size=20), rng.normal(size=10))
    assert [value(name, W) for name in ("stable_rank", "effective_rank", "matrix_rank")] == pytest.approx([1, 1, 1])
    assert math.isnan(value("entropy", W))
    assert value("weak_rank_loss", W) == value("rank_loss", W) == 9


@pytest.mark.parametrize("name", [name for name in METRICS if name not in invariant.__all__])
def test_scale_behaves_as_the_unit_says(name, W):
    """Weights twice as large change a number by its unit: not at all, by 2, by 4 or by an added logarithm."""
    unit = METRICS[name].unit
    if name == "p_spike":
        W = np.clip(W, -1, 1)  # elements that stand out have no edge
    before, after = value(name, W), value(name, 2 * W)
    added = {"log10 W^2": math.log10(4), "log10 W^2alpha": value("alpha", W) * math.log10(4)}
    factor = {"1": 1, "count": 1, "W": 2, "W^2": 4, "W^-2": 1 / 4}
    expected = before + added[unit] if unit in added else before * factor[unit]
    assert after == pytest.approx(expected, rel=1e-9)


def test_every_metric_is_declared_in_full():
    """Each has a unit, a source, a docstring; and its function carries its name."""
    for name, metric in METRICS.items():
        assert metric.name == name == metric.compute.__name__
        assert all([metric.unit, metric.source, metric.compute.__doc__])
        assert metric.higher_is_better in (True, False, None)
