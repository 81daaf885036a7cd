"""`alpha_histogram`: the distribution of alpha over a network's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt.plots.by_layer import UNUSABLE
from wwopt.plots.canvas import BLUE, ORANGE, band, figure, legend
from wwopt.plots.scale import Scale, scale_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis

__all__ = ["alpha_histogram", "draw_histogram"]


def alpha_histogram(analysis: Analysis) -> Figure:
    """Draw the distribution of alpha over the layers, with the band of well-trained ones and the median.

    Layers that lie far above the band are counted in the last bar; those without an alpha are counted in the legend.

    Parameters
    ----------
    analysis : Analysis
        Of any network.

    Returns
    -------
    matplotlib.figure.Figure
    """
    canvas, axes = figure()
    scale = scale_of(analysis)
    draw_histogram(axes, analysis.details, scale)
    axes.set(xlabel=f"alpha ({scale.top:g} and above in the last bar)", title="Distribution of alpha")
    legend(canvas, axes)
    return canvas


def draw_histogram(axes: Axes, rows: pd.DataFrame, scale: Scale) -> None:
    """Draw the histogram of the alphas in a table."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  (an extra)

    alpha = rows["alpha"].dropna()
    band(axes.axvspan, scale)
    axes.hist(alpha.clip(scale.bottom, scale.top), bins=list(scale.bins), color=BLUE, edgecolor="white", linewidth=0.6)
    if len(alpha):
        median = float(alpha.median())
        axes.axvline(min(median, scale.top), color="black", lw=1.2, ls="--", label=f"median {median:.2f}")
    axes.set(ylabel="layers", xlim=(scale.bottom, scale.top))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    for status, (marker, label) in UNUSABLE.items():
        count = int((rows["status"] == status).sum())
        if count:
            axes.plot([], linestyle="", marker=marker, color=ORANGE, label=f"not shown: {count} {label}")
