"""Pictures: figures with what they should show, without pyplot."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import wwopt
from wwopt import plots
from wwopt.plots.density import spectral_density


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
    (legend,) = [*figure.legends, *([figure.axes[0].get_legend()] if figure.axes[0].get_legend() else [])]
    return [text.get_text() for text in legend.get_texts()]


def test_alphas_marks_the_stray_and_the_dead(analysis):
    """The correlation flow names the layers and marks those with stray elements and those without a fit."""
    figure = plots.alphas(analysis)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert "stray elements hold over 2%" in labels(figure)
    assert "not finite" in labels(figure)


def test_spectrum_shows_fit_and_edge(analysis):
    """A spectrum has its points, its power law, xmin and the edge of noise."""
    row = analysis.details.loc[0]
    assert labels(plots.spectrum(analysis, "a")) == [
        "noise of the same variance",
        "edge of that noise",
        "eigenvalues",
        f"alpha = {row['alpha']:.2f} ± {row['sigma']:.2f}, D = {row['D']:.3f}",
        "xmin",
    ]


@pytest.mark.parametrize("shape", [(400, 60), (80, 80)])
def test_noise_is_a_density(shape):
    """The grey area of a spectrum integrates to one, and half of it lies below the median of a random matrix."""
    analysis = wwopt.analyze({"a.weight": np.random.default_rng(0).normal(size=shape)})
    evals, row = analysis.spectra["a"], analysis.details.loc[0].to_dict()
    shown = spectral_density(np.concatenate([[evals[0] * 1e-5], evals]), row)
    assert np.trapezoid(shown.noise, shown.noise_x) == pytest.approx(1, abs=0.02)
    below = shown.noise_x <= np.median(evals)
    assert np.trapezoid(shown.noise[below], shown.noise_x[below]) == pytest.approx(0.5, abs=0.08)


def test_the_power_law_of_a_spectrum_holds_the_tail():
    """The straight line, integrated from xmin on, holds the share of eigenvalues beyond xmin."""
    analysis = wwopt.analyze({"a.weight": np.random.default_rng(0).standard_t(2.5, size=(300, 200))})
    row = analysis.details.loc[0].to_dict()
    shown = spectral_density(analysis.spectra["a"], row)
    mass = shown.fit[0] * row["xmin"] / (row["alpha"] - 1)
    assert mass == pytest.approx(row["num_pl_spikes"] / 200)


def test_a_layer_known_by_its_factors_has_no_noise_beside_it(analysis):
    """A low-rank layer, as LoRA's, has not all eigenvalues, and nothing to compare them with."""
    row = analysis.details.loc[0].to_dict() | {"num_evals": 16}
    shown = spectral_density(analysis.spectra["a"][-16:], row)
    assert np.isnan(shown.edge)
    assert len(shown.noise) == len(shown.noise_x) == 0
    assert len(shown.density) > 0


def test_histogram_counts_every_fitted_layer(analysis):
    """The bars of the histogram add up to the layers with an alpha."""
    bars = plots.alpha_histogram(analysis).axes[0].containers[0]
    assert sum(bars.datavalues) == analysis.details["alpha"].notna().sum() == 2


def test_histogram_counts_what_it_cannot_show(analysis):
    """A layer without an alpha is counted in the legend."""
    assert "not shown: 1 not finite" in labels(plots.alpha_histogram(analysis))


def test_training_is_hatched_where_there_was_no_alpha(analysis):
    """The map has a row per layer and a column per step, in order, and no colour where there is no alpha."""
    figure = plots.alphas_over_training({20: {"a": 3.0, "z": 9.0}, 10: analysis})
    image = figure.axes[0].images[0].get_array()
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b", "c", "z"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["10", "20"]
    assert image.mask.tolist() == [[False, False], [False, True], [True, True], [True, False]]


def test_networks_stand_side_by_side(analysis):
    """Each network has its name, its numbers in words and the same axes."""
    figure = plots.side_by_side({"first": analysis, "second $x": analysis})
    left, right = figure.axes[2:]
    assert left.get_title(loc="left") == r"second \$x"
    median = analysis.details["alpha"].median()
    assert right.get_title(loc="left") == f"3 layers, median {median:.2f}, 100% within 2 to 6, 1 without alpha"
    assert figure.axes[1].get_ylim() == right.get_ylim()
    with pytest.raises(ValueError, match="must hold 1 to 12 networks to be read on a page, got 0"):
        plots.side_by_side({})


def test_five_hundred_layers_with_long_names_are_drawn(tmp_path):
    """Names are shortened to what tells the layers apart, and as many are shown as fit."""
    names = [f"model.language_model.decoder.layers.{i}.self_attention.query_key_value" for i in range(500)]
    one = wwopt.analyze({"w": np.random.default_rng(0).normal(size=(60, 60))})
    rows = pd.concat([one.details] * 500, ignore_index=True).assign(name=names)
    figure = plots.alphas(dataclasses.replace(one, details=rows, spectra={}))
    figure.savefig(tmp_path / "many.png")
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert 15 < len(shown) < 30
    assert shown[1].startswith("…18.self")
    assert len(set(shown)) == len(shown)


def test_an_analysis_without_layers_is_drawn():
    """A network whose layers are all too small gets empty pictures, not an error."""
    empty = wwopt.analyze({"w": np.eye(3)})
    for draw in (plots.alphas, plots.alpha_histogram, lambda a: plots.side_by_side({"x": a})):
        assert draw(empty).axes


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
