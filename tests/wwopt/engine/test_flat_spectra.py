"""Layers without a tail: all singular values are the same but for rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from wwopt.engine.refit import refit
from wwopt.powerlaw import ESTIMATORS

torch.manual_seed(0)

FLAT = {
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(128, 128)),
    "of half precision": lambda: nn.init.orthogonal_(torch.empty(128, 128)).bfloat16(),
    "with a gain": lambda: nn.init.orthogonal_(torch.empty(256, 64), gain=2**0.5),
    "wide": lambda: nn.init.orthogonal_(torch.empty(64, 4096)),
    "of half the rank": lambda: (U := nn.init.orthogonal_(torch.empty(128, 64))) @ U.T,
    "identity": lambda: torch.eye(100),
    "convolution": lambda: nn.init.dirac_(torch.empty(64, 64, 3, 3)),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", FLAT)
def test_a_flat_spectrum_has_no_alpha(kind, estimator):
    """The fit has failed, which is a finding with its reason; the layers beside it have their alphas."""
    state = {"a.weight": FLAT[kind](), "b.weight": torch.randn(128, 96)}
    analysis = wwopt.analyze(state, estimator=estimator)
    assert analysis.details["status"].tolist() == ["failed", "success"]
    assert np.isnan(analysis.details["alpha"][0])
    assert analysis.summary["alpha"] == analysis.details["alpha"][1]
    assert [f.key for f in analysis.findings if f.layer == "a"] == ["no-fit"]
    again = refit(analysis)
    assert again.details["status"].tolist() == ["failed", "success"]


@pytest.mark.parametrize("shape", [(64, 64), (4096, 64), (100_000, 50), (64, 64, 3, 3)])
def test_a_random_spectrum_is_not_flat(shape):
    """However tall the matrix, and so however narrow its spectrum: noise is fitted, and called noise."""
    analysis = wwopt.analyze({"a.weight": torch.randn(shape)})
    assert analysis.details["status"].tolist() == ["success"]


def test_a_trained_orthogonal_layer_has_a_tail():
    """A few large directions on top of an orthogonal matrix are no rounding."""
    W = nn.init.orthogonal_(torch.empty(128, 128)) + 0.05 * torch.randn(128, 128)
    assert wwopt.analyze({"a.weight": W}).details["status"].tolist() == ["success"]
