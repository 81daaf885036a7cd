"""Spectra that were kept, fitted again."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import wwopt
from wwopt.engine.refit import refit


@pytest.fixture(scope="module")
def weights():
    """Layers of every status, and a pooled convolution."""
    random = np.random.default_rng(0)
    return {
        "heavy.weight": random.standard_t(3, size=(128, 64)),
        "noise.weight": random.normal(size=(300, 100)),
        "conv.weight": random.normal(size=(64, 64, 3, 3)),
        "zero.weight": np.zeros((60, 60)),
        "one.weight": np.ones((70, 70)),
        "nan.weight": np.full((60, 60), np.nan),
    }


@pytest.mark.parametrize("options", [{}, {"randomize": False}, {"zero_tol": 0.5}, {"precision": "single"}])
def test_it_gives_what_the_weights_gave(weights, options, tmp_path):
    """Every number, status and warning is the same, also after a way through a file."""
    analysis = wwopt.analyze(weights, **options)
    analysis.save(tmp_path / "a.npz")
    again = refit(wwopt.Analysis.load(tmp_path / "a.npz"))
    pd.testing.assert_frame_equal(again.details, analysis.details, rtol=1e-12)


def test_it_mends_what_another_version_got_wrong(weights):
    """Numbers that follow from the spectra are replaced; traps, which need the weights, are kept."""
    analysis = wwopt.analyze(weights)
    spoilt = analysis.details.assign(alpha=1.0, warning="over-trained", num_traps=3.0)
    again = refit(dataclasses.replace(analysis, details=spoilt)).details
    assert again["alpha"].dropna().tolist() == analysis.details["alpha"].dropna().tolist()
    assert again["warning"].tolist()[:3] == analysis.details["warning"].tolist()[:3]
    assert again["num_traps"].eq(3).all()


@pytest.mark.parametrize("estimator", ["hill", "peak", "tpl"])
def test_another_estimator(weights, estimator):
    """Alpha by another estimator, with its thresholds, is what the weights would have given by it; not with fixed
    scales, which takes the weights."""
    again = refit(wwopt.analyze(weights), estimator=estimator)
    expected = wwopt.analyze(weights, estimator=estimator)
    unknown = ["invariant_alpha", "invariant_num_pl_spikes"]
    assert again.details[unknown].isna().all(axis=None)
    known = expected.details.columns.drop(unknown)
    pd.testing.assert_frame_equal(again.details[known], expected.details[known], rtol=1e-12)
    assert again.settings["estimator"] == estimator


def test_an_estimator_that_does_not_exist(weights):
    """The error names the argument and the choices."""
    with pytest.raises(ValueError, match=r"`estimator` must be among mle, hill, peak, tpl, got 'best'\."):
        refit(wwopt.analyze(weights), estimator="best")
