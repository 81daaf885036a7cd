"""What must not matter: scale, transposition, order, company."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save_file

import wwopt
from wwopt.metrics import METRICS

SCALE_FREE = [name for name, metric in METRICS.items() if metric.unit in ("1", "count")]


def draw(seed, n, m, tail, repeated):
    """A heavy-tailed matrix, of lower rank where the last columns repeat the first."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, m)) * (rng.pareto(tail, size=(n, 1)) + 0.1)
    W[:, m - repeated :] = W[:, :1]
    return W


SIDES = st.integers(30, 90)
weights = st.builds(draw, st.integers(0, 2**32 - 1), SIDES, SIDES, st.floats(1.2, 4), st.integers(0, 8))


def row(W, **options):
    return wwopt.analyze({"layer.weight": W}, min_evals=2, **options).details.iloc[0]


def assert_same(left, right, columns):
    """Equal to 1e-6: rounding the weights anew moves an eigenvalue by eps times the largest, and here the tails
    reach down to 1e-10 of it."""
    np.testing.assert_allclose(
        left[columns].astype(float), right[columns].astype(float), rtol=1e-6, atol=1e-6, err_msg=str(columns)
    )


@given(weights, st.sampled_from([2.0**-200, 2.0**-40, 2.0**40, 2.0**200]))
def test_scale_by_powers_of_two_is_exact(W, scale):
    """Weights times a power of two have exactly the same scale-free numbers, however small they are."""
    assert row(W)[SCALE_FREE].equals(row(W * scale)[SCALE_FREE])


@given(weights, st.floats(1e-12, 1e12))
def test_scale_does_not_matter(W, scale):
    """Weights times any number have the same scale-free numbers."""
    assert_same(row(W), row(W * scale), SCALE_FREE)


@given(weights)
def test_transpose_does_not_matter(W):
    """A weight and its transpose are the same layer."""
    assert_same(row(W), row(W.T), [*SCALE_FREE, "N", "M", "Q", "log_norm"])


@given(weights, st.integers(0, 1000))
def test_permutation_does_not_matter(W, seed):
    """The order of inputs and outputs is of no consequence."""
    rng = np.random.default_rng(seed)
    permuted = W[rng.permutation(len(W))][:, rng.permutation(W.shape[1])]
    assert_same(row(W), row(permuted), ["alpha", "D", "stable_rank", "matrix_rank", "num_traps", "trap_energy"])


def own(details):
    """The columns of layers that tell of the layers alone, not of their neighbours nor of scales fixed by those."""
    of_neighbours = ["neighbour_correlation", "weak_overlap"]
    return details.drop(columns=[*of_neighbours, *(name for name in details if name.startswith("invariant_"))])


@given(st.lists(weights, min_size=2, max_size=4))
def test_company_does_not_matter(many):
    """A layer as it is has the same row, bit for bit, alone and among others."""
    names = [f"layer{i}" for i in range(len(many))]
    together = own(wwopt.analyze(dict(zip(names, many, strict=True)), min_evals=2).details)
    for name, W in zip(names, many, strict=True):
        alone = own(wwopt.analyze({name: W}, min_evals=2).details)
        expected = together[together["name"] == name]
        assert alone.drop(columns="layer_id").iloc[0].equals(expected.drop(columns="layer_id").iloc[0])


networks = st.lists(weights, min_size=1, max_size=4).map(lambda many: {f"layer{i}": W for i, W in enumerate(many)})


def rows(source, **options):
    """A row for each name, without its place in the source."""
    return wwopt.analyze(source, min_evals=2, **options).details.set_index("name").drop(columns="layer_id")


@settings(max_examples=8)
@given(network=networks)
def test_every_path_is_the_same(network, tmp_path_factory):
    """In memory, from each format of file, through an executor and a cache the numbers are the same, bit for bit."""
    folder = tmp_path_factory.mktemp("paths")
    tensors = {name: torch.from_numpy(W) for name, W in network.items()}
    save_file(tensors, folder / "m.safetensors")
    torch.save(tensors, folder / "m.pt")
    np.savez(folder / "m.npz", **network)
    expected = rows(network)
    for path in ("m.safetensors", "m.pt", "m.npz"):
        pd.testing.assert_frame_equal(rows(folder / path), expected, check_exact=True)
    with ThreadPoolExecutor(2) as executor:
        pd.testing.assert_frame_equal(rows(folder / "m.pt", executor=executor), expected, check_exact=True)
    for _ in range(2):
        cached = rows(folder / "m.safetensors", cache=folder / "cache")
        pd.testing.assert_frame_equal(cached, expected, check_exact=True)


@given(network=networks, seed=st.integers(0, 1000))
def test_order_of_layers_does_not_matter(network, seed):
    """Layers in another order are the same rows in that order."""
    names = [str(name) for name in np.random.default_rng(seed).permutation(list(network))]
    shuffled = rows({name: network[name] for name in names})
    pd.testing.assert_frame_equal(shuffled, rows(network).loc[names], check_exact=True)


@given(networks, networks)
def test_networks_side_by_side(first, second):
    """Two networks analysed as one are the rows of both, but for what is known of neighbours by their order."""
    both = {f"{side}.{name}": W for side, network in (("a", first), ("b", second)) for name, W in network.items()}
    expected = own(pd.concat([rows(first), rows(second)]))
    pd.testing.assert_frame_equal(own(rows(both)).set_index(expected.index), expected, check_exact=True)


def test_zero_tolerance_is_the_users(rng):
    """A given `zero_tol` is absolute: eigenvalues up to it count as zero."""
    W = np.diag(np.sqrt(np.arange(1.0, 101.0)))
    assert row(W, zero_tol=0.0)["matrix_rank"] == 100
    assert row(W, zero_tol=40.5)["matrix_rank"] == 60
    assert row(W, zero_tol=40.5)["xmin"] > 40


def test_repeated_runs_are_identical(minilm):
    """The same input gives the same output, bit for bit."""
    first, second = wwopt.analyze(minilm), wwopt.analyze(minilm)
    assert first.details.equals(second.details)
    assert all((first.spectra[name] == second.spectra[name]).all() for name in first.spectra)


def test_without_randomisation_the_rest_is_the_same(rng):
    """`randomize=False` leaves out what compares with noise, and changes nothing else."""
    W = rng.normal(size=(80, 60))
    with_, without = row(W), row(W, randomize=False)
    compared = [name for name, metric in METRICS.items() if metric.randomized]
    of_neighbours = {"neighbour_correlation", "weak_overlap"}  # which a single layer has not
    of_noise = {"num_traps", "trap_energy", "rand_distance", "p_noise", "p_spike", "evened_spikes"}
    assert {*of_noise, *of_neighbours, "invariant_trap_energy"} == set(compared)
    assert without[compared].isna().all()
    assert with_[sorted(of_noise)].notna().all()
    assert with_["warning"] == "noise" != without["warning"]
    assert with_.drop([*compared, "warning"]).equals(without.drop([*compared, "warning"]))
    assert without["alpha"] == pytest.approx(with_["alpha"])
