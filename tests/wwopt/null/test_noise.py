"""Noise is called noise: p-values that are uniform where nothing was learned, and alpha against that of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import wwopt
from benchmarks.engine.noise_alphas import median_alphas
from wwopt.engine.refit import refit
from wwopt.null.noise_alpha import alpha_of_noise
from wwopt.null.noise_tests import spike_p_values, spread_p_values
from wwopt.spectra import eigenvalues, moments_of, pool

SHAPES = [(1, 20, 20), (1, 64, 64), (1, 256, 64), (9, 16, 16), (1, 300, 10)]
ELEMENTS = {
    "gaussian": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "shifted": lambda rng, shape: rng.normal(size=shape) + 0.3,
    "two values": lambda rng, shape: rng.choice([-1.0, 1.0], size=shape),
}
REPEATS = 150


def p_values(judge, shape, draw, repeats=REPEATS, seed=5):
    """P-values of as many stacks of noise."""
    k, N, M = shape
    rng = np.random.default_rng(seed)
    stacks = [draw(rng, shape) for _ in range(repeats)]
    evals = np.stack([np.sort(eigenvalues(stack), axis=None) for stack in stacks])
    return judge(evals, k, N, M, [pool(moments_of(stack)) for stack in stacks])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("elements", ELEMENTS)
def test_spread_is_uniform_on_noise(elements, shape):
    """Independent elements of any distribution have p-values that are uniform, in stacks and in flat matrices too."""
    found = p_values(spread_p_values, shape, ELEMENTS[elements])
    assert stats.kstest(found, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_largest_eigenvalue_is_uniform_on_gaussian_noise(shape):
    """So have the largest eigenvalues of Gaussian elements."""
    found = p_values(spike_p_values, shape, ELEMENTS["gaussian"])
    assert stats.kstest(found, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("elements", ["uniform", "laplace", "two values"])
def test_largest_eigenvalue_on_other_noise(elements):
    """Kurtosis moves the edge, and is allowed for: of other elements at most 10% fall below 5%."""
    found = p_values(spike_p_values, (1, 64, 64), ELEMENTS[elements], repeats=400)
    assert np.mean(found < 0.05) < 0.1
    assert 0.35 < found.mean() < 0.65


def test_mean_over_shuffles_is_exact(rng):
    """The mean of the statistic is that of 20,000 shuffles, for elements that are anything but Gaussian."""
    from wwopt.null.noise_tests import _moments_over_shuffles

    W = rng.standard_t(3, size=(2, 7, 4)) + 0.5
    mean, _ = _moments_over_shuffles(2, 7, 4, [pool(moments_of(W))])
    shuffled = rng.permuted(np.tile(W.ravel(), (20_000, 1)), axis=1).reshape(-1, 2, 7, 4)
    gram = np.einsum("snij,snik->snjk", shuffled, shuffled)
    statistics = np.square(gram).sum(axis=(1, 2, 3)) / np.square(np.square(W).sum())
    assert abs(statistics.mean() - mean[0]) < 4 * statistics.std() / np.sqrt(len(statistics))


def test_large_layers_lose_no_digits():
    """At 30,000 x 400 the variance is still the one of the limit, 4 / (N M)^2 of the squared mean and a bit."""
    from wwopt.null.noise_tests import _gaussian_variance

    N, M = 30_000, 400
    assert _gaussian_variance(1, N, M) * M**2 == pytest.approx(4 / N**2, rel=0.05)
    assert _gaussian_variance(1, 12, 1) == 0


def test_small_noise_is_called_noise():
    """Over half of Gaussian layers of 64 x 64 have an alpha between 2 and 6; nearly all are called noise."""
    rng = np.random.default_rng(0)
    analysis = wwopt.analyze({f"{i}.weight": rng.normal(size=(64, 64)) for i in range(200)})
    details = analysis.details
    assert details["alpha"].between(2, 6).mean() > 0.5
    assert (details["warning"] == "noise").mean() > 0.97
    assert (details["status"] == "success").all()
    assert analysis.summary["share_noise"] == (details["warning"] == "noise").mean()
    assert analysis.summary["p_noise"] > 0.001
    assert details["alpha"].median() == pytest.approx(details["alpha_null"].iloc[0], rel=0.1)


@pytest.mark.parametrize("init", ["xavier_uniform_", "kaiming_normal_", "trunc_normal_", "orthogonal_"])
def test_initialisations_are_noise(init):
    """What torch's initialisations leave cannot be told from noise, be their elements Gaussian or not."""
    torch.manual_seed(0)
    weight = getattr(torch.nn.init, init)(torch.empty(128, 96))
    row = wwopt.analyze({"layer.weight": weight}).details.iloc[0]
    assert row["p_noise"] > 0.005
    assert row["warning"] == "noise" or row["status"] == "failed"


def test_trained_layers_are_told_from_noise(minilm):
    """All layers of a trained network are beyond noise, but for the pooler, which sentence transformers do not use."""
    analysis = wwopt.analyze(minilm)
    details = analysis.details.set_index("name")
    assert list(details.index[details["warning"] == "noise"]) == ["pooler.dense"]
    trained = details.drop(index="pooler.dense")[["p_noise", "p_spike"]].min(axis=1)
    assert trained.max() < 1e-4
    assert trained.median() < 1e-12
    assert analysis.summary["share_noise"] == pytest.approx(1 / 39)
    assert analysis.summary["p_noise"] < 1e-12


def test_a_single_weak_direction_is_found(rng):
    """A direction that the spread hardly shows is told by the largest eigenvalue."""
    noise = rng.normal(size=(600, 400))
    u, v = rng.normal(size=600), rng.normal(size=400)
    planted = noise + 1.7 * (600 * 400) ** 0.25 * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    rows = wwopt.analyze({"noise.weight": noise, "planted.weight": planted}).details.set_index("name")
    assert rows.loc["planted", "p_spike"] < 1e-4 < 0.001 < rows.loc["planted", "p_noise"]
    assert list(rows["warning"] == "noise") == [True, False]


def test_heavy_tailed_elements_have_no_edge(rng):
    """Elements with a tail index below 4 have traps instead of an edge: no spike is judged, and it is still noise."""
    row = wwopt.analyze({"layer.weight": rng.standard_t(2.5, size=(200, 200))}).details.iloc[0]
    assert row["num_traps"] > 0
    assert row["trap_energy"] > 0.02
    assert np.isnan(row["p_spike"])
    assert row["p_noise"] > 0.005
    assert row["warning"] == "noise"


def test_shuffling_a_trained_layer_makes_it_noise(minilm, rng):
    """A trained weight whose elements are shuffled has lost what it had learned."""
    from safetensors.numpy import load_file

    W = load_file(minilm)["encoder.layer.0.attention.self.query.weight"]
    shuffled = rng.permutation(W.ravel()).reshape(W.shape)
    rows = wwopt.analyze({"trained.weight": W, "shuffled.weight": shuffled}).details.set_index("name")
    assert rows.loc["trained", "p_noise"] < 1e-12 < 0.001 < rows.loc["shuffled", "p_noise"]


@pytest.mark.parametrize("shape", [(90, 60, 1), (300, 100, 1), (24, 24, 9), (700, 30, 1)])
def test_alpha_of_noise_is_that_of_random_matrices(shape):
    """Between the table's sizes too, each estimator's median over random matrices is the one that is told."""
    N, M, k = shape
    medians = median_alphas(N, M, k, repeats=151, seed=99)
    for estimator, median in medians.items():
        tolerance = 0.25 if estimator == "peak" else 0.12  # whose median jumps with the fullest bin
        assert alpha_of_noise(estimator, N, M, k) == pytest.approx(median, rel=tolerance, abs=0.1)


@pytest.mark.parametrize(("Q", "expected"), [(1, 2.12), (2, 2.71), (4, 3.45), (16, 5.88)])
def test_hill_of_noise_in_the_limit(Q, expected):
    """Hill's estimator over the upper half of Marchenko and Pastur's law, whose integral is known."""
    assert alpha_of_noise("hill", 1000 * Q, 1000) == pytest.approx(expected, abs=0.02)


def test_wide_layers_have_larger_alphas():
    """Beyond the table the alpha of noise goes on as it did: with the size, and with the ratio of the sides."""
    grown = [alpha_of_noise("mle", n, n) for n in (64, 512, 4096, 16_384)]
    assert grown == sorted(grown)
    assert alpha_of_noise("mle", 10**6, 64) > alpha_of_noise("mle", 64, 64)


def test_products_of_thin_factors_are_not_judged(heavy_tailed):
    """A spectrum that is not whole has nothing to be compared with."""
    weights = {"layer.lora_A.weight": heavy_tailed(16, 80), "layer.lora_B.weight": heavy_tailed(90, 16)}
    row = wwopt.analyze(weights, min_evals=10).details.iloc[0]
    if row["num_evals"] < row["M"]:
        assert row[["p_noise", "p_spike", "alpha_null"]].isna().all()


def test_older_analyses_still_load(tmp_path, heavy_tailed):
    """A file from before a column existed loads, with NaN in its place, and its spectra can be fitted again."""
    analysis = wwopt.analyze({"a.weight": heavy_tailed(80, 60)})
    older = replace(analysis, details=analysis.details.drop(columns=["p_noise", "p_spike", "Lambda"]))
    older.save(tmp_path / "old.npz")
    loaded = wwopt.Analysis.load(tmp_path / "old.npz")
    assert list(loaded.details) == list(analysis.details)
    assert loaded.details[["p_noise", "p_spike"]].isna().all(axis=None)
    assert np.isnan(loaded.summary["share_noise"])
    assert np.isnan(loaded.summary["p_noise"])
    assert refit(loaded).details["alpha"].equals(analysis.details["alpha"])


def test_refitting_keeps_what_needs_the_weights(heavy_tailed, rng):
    """P-values and traps, which the spectra alone do not give, stay; so does the warning that follows from them."""
    analysis = wwopt.analyze({"a.weight": heavy_tailed(80, 60), "b.weight": rng.normal(size=(64, 64))})
    pd.testing.assert_frame_equal(refit(analysis).details, analysis.details)
    assert list(analysis.details["warning"] == "noise") == [False, True]


def test_spikes_of_noise_are_rare():
    """Of 300 small stacks of noise at most 8% show a spike; 1% would, were the bulk's variance not estimated."""
    rng = np.random.default_rng(2)
    analysis = wwopt.analyze({f"{i}.weight": rng.normal(size=(16, 16, 3, 3)) for i in range(300)})
    assert (analysis.details["num_spikes"] > 0).mean() < 0.08
