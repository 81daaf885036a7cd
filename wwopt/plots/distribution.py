"""How the alphas of a network's layers are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.plots.canvas import BLUE, HIGHEST, LOWEST, ORANGE, band, figure, legend
from wwopt.plots.flow import UNUSABLE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis

__all__ = ["alpha_histogram", "draw_histogram"]

BINS = np.arange(LOWEST, HIGHEST + 0.5, 0.5)


def alpha_histogram(analysis: Analysis) -> Figure:
    """Draw how the alphas of the layers are distributed, with the band from 2 to 6 and the median.

    Layers above 12 are counted in the last bar; layers without an alpha are counted in a line of text.

    Parameters
    ----------
    analysis : Analysis
        Of any network.

    Returns
    -------
    matplotlib.figure.Figure
    """
    canvas, axes = figure()
    draw_histogram(axes, analysis.details)
    axes.set(xlabel="alpha (12 and above in the last bar)", title="Distribution of alpha")
    legend(canvas, axes)
    return canvas


def draw_histogram(axes: Axes, rows: pd.DataFrame, *, color: str = BLUE) -> None:
    """Draw the alphas of a table."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  (an extra)

    alpha = rows["alpha"].dropna()
    band(axes.axvspan)
    axes.hist(alpha.clip(upper=HIGHEST), bins=list(BINS), color=color, edgecolor="white", linewidth=0.6)
    if len(alpha):
        median = float(alpha.median())
        axes.axvline(min(median, HIGHEST), color="black", lw=1.2, ls="--", label=f"median {median:.2f}")
    axes.set(ylabel="layers", xlim=(LOWEST, HIGHEST))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    for status, (marker, label) in UNUSABLE.items():
        count = int((rows["status"] == status).sum())
        if count:
            axes.plot([], linestyle="", marker=marker, color=ORANGE, label=f"not shown: {count} {label}")
