"""`alphas_over_training`: a heat map of alpha by layer and training step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.plots.canvas import GREY, figure, name_ticks
from wwopt.plots.scale import Scale, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis
    from wwopt.powerlaw import EstimatorName

__all__ = ["alphas_over_training"]

LAYER_HEIGHT, MOST_LAYERS = 0.16, 45  # inches per name; names that fit on the tallest figure


def alphas_over_training(
    history: Mapping[int, Analysis] | Mapping[int, Mapping[str, float]], *, estimator: EstimatorName = "mle"
) -> Figure:
    """Draw alpha of each layer at each step as a heat map, the input at the top.

    Blue is the band of well-trained layers, darker for smaller alpha; orange lies below it and yellow above. Hatched
    cells have no alpha.

    Parameters
    ----------
    history : mapping of int to Analysis, or to mapping of str to float
        For each step an analysis, or the alpha of each layer by name.
    estimator : {"mle", "hill", "peak", "tpl"}
        Estimator of the alphas, which determines the band.

    Returns
    -------
    matplotlib.figure.Figure
    """
    by_step = {step: _alphas(history[step]) for step in sorted(history)}
    layers = list(dict.fromkeys(name for alphas in by_step.values() for name in alphas))
    steps = list(by_step)
    values = np.array([[by_step[step].get(name, math.nan) for step in steps] for name in layers], dtype=float)
    scale = scale_of(estimator)
    canvas, axes = figure(height=float(np.clip(LAYER_HEIGHT * len(layers) + 1, 3.2, 8)))
    axes.patch.set(facecolor="white", edgecolor=GREY, hatch="////", linewidth=0)
    image = axes.imshow(
        np.ma.masked_invalid(values.reshape(len(layers), len(steps))),
        aspect="auto",
        cmap=_colours(scale),
        vmin=scale.bottom,
        vmax=_brightest(scale),
        interpolation="nearest",
    )
    bar = canvas.colorbar(image, ax=axes, label=f"alpha ({scale.label}: well trained)", extend="max")
    bar.set_ticks([scale.bottom, scale.low, (scale.low + scale.high) / 2, scale.high, _brightest(scale)])
    axes.set(xlabel="step", title="Alpha over training")
    name_ticks(axes.set_xticks, [str(step) for step in steps], most=8)
    most = int(np.clip((canvas.get_figheight() - 1) / LAYER_HEIGHT, 1, MOST_LAYERS))
    name_ticks(axes.set_yticks, layers, most=most, fontsize=8)
    return canvas


def _alphas(measured: Any) -> dict[str, float]:
    if not hasattr(measured, "details"):
        return dict(measured)
    return dict(zip(measured.details["name"], measured.details["alpha"], strict=True))


def _brightest(scale: Scale) -> float:
    """Alpha above which the colour no longer changes; the band lies in the middle of the colours."""
    return scale.high + (scale.high - scale.low) / 2


def _colours(scale: Scale) -> Colormap:
    """Colour map with steps at the borders of the band: orange below it, blue in it, yellow above it."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415  (an extra)

    low, high = ((border - scale.bottom) / (_brightest(scale) - scale.bottom) for border in (scale.low, scale.high))
    colours = [(0, "#7a2e00"), (low, "#d55e00"), (low, "#08306b"), (high, "#c6dbef"), (high, "#fffbd0"), (1, "#e6c800")]
    return LinearSegmentedColormap.from_list("alpha", colours, N=512)
