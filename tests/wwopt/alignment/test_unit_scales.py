"""What cannot be folded into a layer leaves it as it is, and never stops an analysis."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from wwopt.alignment import connect
from wwopt.weights import open_weights


def scales_of(source):
    """Factors of each layer whose scales can be fixed."""
    return connect(source, open_weights(source)).scales


def normed(**changes):
    """A network with a batch norm, some of whose tensors are changed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 64))
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2)
        model[1].running_var.uniform_(0.5, 2)
        for name, value in changes.items():
            getattr(model[1], name)[3] = value
    return model


def folded(model):
    """Norms of the units as written and as read, with the factors of both sides: equal where the norm is folded in."""
    scales = scales_of(model)
    return scales["0"].outputs * scales["3"].inputs


@pytest.mark.parametrize("variance", [-1.0, -1e-7, math.nan, math.inf])
def test_a_norm_with_a_broken_variance_is_not_folded(variance):
    """The units' factors of the two sides cancel then, while a sound norm's gain stays in their product."""
    broken, sound = normed(running_var=variance), normed()
    gain = (sound[1].weight / (sound[1].running_var + sound[1].eps).sqrt()).detach().double().numpy()
    np.testing.assert_allclose(folded(sound), gain, rtol=1e-5)
    for source in (broken, broken.state_dict()):
        np.testing.assert_allclose(folded(source), 1.0, rtol=1e-5)
        assert wwopt.AlphaScore()(wwopt.analyze(source)) == wwopt.AlphaScore().maximum


def test_a_unit_without_variance_is_folded():
    """A unit that never answered has a variance of zero: the norm is as sound as before."""
    model = normed(running_var=0.0)
    assert folded(model)[3] == pytest.approx(model[1].weight[3].item() / math.sqrt(model[1].eps), rel=1e-4)


def test_a_gain_of_another_shape_is_not_folded():
    """Gains over several axes, and tensors that do not belong together."""
    axes = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 32, 32]), nn.Flatten(), nn.Linear(256, 100))
    assert wwopt.analyze(axes).details["invariant_alpha"].notna().all()
    state = normed().state_dict()
    np.testing.assert_allclose(folded(state | {"1.weight": torch.ones(5)}), 1.0, rtol=1e-5)


def test_a_norm_without_values_is_not_folded():
    """On the meta device there is nothing to fold."""
    model = normed()
    model[1].to("meta")
    np.testing.assert_allclose(folded(model), 1.0, rtol=1e-5)
