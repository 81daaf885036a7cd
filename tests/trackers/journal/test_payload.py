"""The payload of a step: which scalars, and which layers have a curve."""

import math

from wwopt_trackers.journal.payload import LAYER_ALPHA, LayerChoice, scalars, worst_first


def test_layers_of_a_large_network():
    """Of 300 layers the worst twenty have a curve, each once chosen keeps it, and never more than two hundred."""
    choice = LayerChoice()
    alphas = {f"layer.{number}": 4.0 for number in range(300)}
    for first in range(0, 300, 20):
        worst = {f"layer.{number}": math.nan if number % 2 else 9.0 for number in range(first, first + 20)}
        curves = choice.curves(alphas | worst)
        assert len(curves) == min(first + 20, 200)
        if first < 200:
            assert {LAYER_ALPHA + name for name in worst} <= curves.keys()
    assert len(LayerChoice().curves(dict.fromkeys(list(alphas)[:200], 4.0))) == 200


def test_numbers_of_a_step(analysis):
    """About thirty scalars besides the layers' own; a spread leaves out what is not a number."""
    logged = scalars(analysis, LayerChoice())
    alphas = analysis.details["alpha"].dropna()
    ends = logged["ww/alpha_min"], logged["ww/alpha_median"], logged["ww/alpha_max"]
    assert ends == (alphas.min(), alphas.min(), alphas.max())  # the lower median of two
    assert len([name for name in logged if not name.startswith(LAYER_ALPHA)]) in range(25, 36)


def test_the_worst_are_out_of_the_estimators_range():
    """Which alpha is farthest from well trained depends on the estimator; a layer without one leads."""
    alphas = {"low": 1.0, "middle": 2.4, "high": 4.5, "none": math.nan}
    assert worst_first(alphas, "mle") == ["none", "low", "middle", "high"]
    assert worst_first(alphas, "hill") == ["none", "high", "low", "middle"]
