"""Intervals for alpha: they cover, and hang on nothing but the spectrum and the seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import wwopt
from wwopt.powerlaw import ESTIMATORS, bootstrap_intervals, fit_powerlaws

ENDS = ["alpha_low", "alpha_high"]


@pytest.fixture
def source(heavy_tailed):
    return {f"{i}.weight": heavy_tailed(80, 60 - i % 2, seed=i) for i in range(4)}


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_cover(confidence):
    """Of samples of a power law about as many intervals hold the exponent as are asked to."""
    rng = np.random.default_rng(0)
    samples = list(np.sort((1 - rng.uniform(size=(150, 100))) ** (-1 / 1.5), axis=1))
    fits = fit_powerlaws(samples, estimator="hill")
    low, high = bootstrap_intervals(samples, fits, estimator="hill", confidence=confidence).T
    assert np.mean((low < 2.5) & (high > 2.5)) == pytest.approx(confidence, abs=0.1)


def test_search_widens_the_interval():
    """Where xmin is searched for, its uncertainty is part of the interval, which is wider than sigma says."""
    rng = np.random.default_rng(1)
    samples = list(np.sort(rng.lognormal(sigma=1.5, size=(20, 200)), axis=1))
    fits = fit_powerlaws(samples)
    low, high = bootstrap_intervals(samples, fits).T
    assert np.median((high - low) / [2 * 1.96 * fit.sigma for fit in fits]) > 1.2


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_alpha_lies_inside(estimator, source):
    """Each estimator's alpha lies in its interval, and a higher confidence gives a wider one."""
    narrow, wide = (wwopt.analyze(source, estimator=estimator, confidence=share).details for share in (0.5, 0.95))
    for details in (narrow, wide):
        assert ((details["alpha_low"] <= details["alpha"]) & (details["alpha"] <= details["alpha_high"])).all()
    assert (np.diff(wide[ENDS]) >= np.diff(narrow[ENDS])).all()


def test_neither_company_nor_workers_matter(source):
    """An interval is the same alone, in another order, and by the threads of an executor."""
    together = wwopt.analyze(source, confidence=0.9).details.set_index("name")
    reverse = wwopt.analyze(dict(reversed(source.items())), confidence=0.9).details.set_index("name")
    alone = wwopt.analyze({"2.weight": source["2.weight"]}, confidence=0.9).details.set_index("name")
    with ThreadPoolExecutor(2) as pool:
        elsewhere = wwopt.analyze(source, confidence=0.9, executor=pool).details.set_index("name")
    pd.testing.assert_frame_equal(together[ENDS], reverse.loc[together.index, ENDS], check_exact=True)
    pd.testing.assert_frame_equal(together[ENDS], elsewhere[ENDS], check_exact=True)
    pd.testing.assert_frame_equal(together.loc[["2"], ENDS], alone[ENDS], check_exact=True)


def test_scale_does_not_matter(source):
    """Weights a million times as large have the same intervals."""
    before = wwopt.analyze(source, confidence=0.9).details[ENDS]
    after = wwopt.analyze({name: W * 2.0**20 for name, W in source.items()}, confidence=0.9).details[ENDS]
    pd.testing.assert_frame_equal(before, after)


def test_seed_changes_the_draw_and_nothing_else(source, tmp_path):
    """Another seed moves the ends a little, also where results are kept, and alpha not at all."""
    first, second = (wwopt.analyze(source, confidence=0.9, seed=seed, cache=tmp_path).details for seed in (0, 1))
    assert not first[ENDS].equals(second[ENDS])
    assert first["alpha"].equals(second["alpha"])
    np.testing.assert_allclose(first["alpha_low"], second["alpha_low"], rtol=0.3)


def test_without_confidence_there_is_none(source, tmp_path):
    """Nothing asked, nothing drawn: the columns are NaN, and a cache does not look at the seed."""
    details = wwopt.analyze(source, cache=tmp_path).details
    assert details[ENDS].isna().all(axis=None)
    kept = len([path for path in tmp_path.rglob("*") if path.is_file()])
    wwopt.analyze(source, cache=tmp_path, seed=7)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == kept


def test_no_fit_no_interval():
    """A layer without an alpha has no interval."""
    details = wwopt.analyze({"a.weight": np.eye(60)}, confidence=0.9).details
    assert details[ENDS].isna().all(axis=None)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_is_a_share(confidence, source):
    """A confidence outside of (0, 1) is a ValueError with the rule."""
    with pytest.raises(ValueError, match=f"`confidence` must be between 0 and 1, or None.*got {confidence}"):
        wwopt.analyze(source, confidence=confidence)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_seed_is_an_integer(seed, source):
    """A seed that is no natural number is a ValueError with the rule."""
    with pytest.raises(ValueError, match=f"`seed` must be an integer, 0 or more, got {seed}"):
        wwopt.analyze(source, seed=seed)
