"""Pictures: figures with what they should show, without pyplot."""

import subprocess
import sys

import numpy as np
import pytest

import wwopt
from wwopt import plots


@pytest.fixture
def analysis():
    """A healthy, a stray and a dead layer."""
    rng = np.random.default_rng(0)
    stray = rng.normal(size=(64, 64))
    stray[[1, 9], [4, 7]] = 50
    dead = np.full((64, 64), np.nan)
    return wwopt.analyze({"a.weight": rng.normal(size=(90, 60)), "b.weight": stray, "c.weight": dead})


def labels(figure):
    """Texts of a figure's legend."""
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_alphas_marks_the_stray_and_the_dead(analysis):
    """The correlation flow names the layers and marks those with stray elements and those without a fit."""
    figure = plots.alphas(analysis)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert "stray elements hold over 2%" in labels(figure)
    assert "no fit" in labels(figure)


def test_spectrum_shows_fit_and_edge(analysis):
    """A spectrum has its points, its power law, xmin and the edge of noise."""
    names = labels(plots.spectrum(analysis, "a"))
    alpha = analysis.details.loc[0, "alpha"]
    assert names == ["eigenvalues", f"alpha = {alpha:.2f}", "xmin", "edge of noise of the same variance"]


def test_histogram_counts_every_fitted_layer(analysis):
    """The bars of the histogram add up to the layers with an alpha."""
    bars = plots.alpha_histogram(analysis).axes[0].containers[0]
    assert sum(bars.datavalues) == analysis.details["alpha"].notna().sum() == 2


def test_an_unknown_layer_is_named(analysis):
    """The error says which layers there are."""
    with pytest.raises(KeyError, match="No layer 'x' in the analysis; it has a, b, c"):
        plots.spectrum(analysis, "x")


def test_a_layer_without_eigenvalues_to_draw_is_said(analysis):
    """A layer that is not finite has no spectrum."""
    with pytest.raises(ValueError, match="'c' is non-finite"):
        plots.spectrum(analysis, "c")


def test_pyplot_is_not_loaded():
    """Drawing changes no global state."""
    code = (
        "import sys, numpy, wwopt; from wwopt import plots; "
        "plots.alphas(wwopt.analyze({'a': numpy.eye(60)})); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
