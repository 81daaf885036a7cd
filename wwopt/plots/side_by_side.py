"""`side_by_side`: several networks on comparable axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wwopt.plots.by_layer import draw_flow
from wwopt.plots.canvas import empty_figure, open_axes, short
from wwopt.plots.distribution import draw_histogram
from wwopt.plots.scale import Scale, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis

__all__ = ["side_by_side"]

MOST_MODELS = 12


def side_by_side(analyses: Mapping[str, Analysis]) -> Figure:
    """Draw the distribution of alpha and alpha by layer for each network, on comparable axes.

    Of two networks of one kind, the one with more layers above the band is less well trained.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        One to twelve networks by name.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        There is no analysis, or more than fit on a page.
    """
    if not 1 <= len(analyses) <= MOST_MODELS:
        raise ValueError(f"`analyses` must hold 1 to {MOST_MODELS} networks to be read on a page, got {len(analyses)}.")
    canvas = empty_figure(width=9.6, height=1.1 + 1.9 * len(analyses))
    panels = canvas.subplots(len(analyses), 2, squeeze=False, width_ratios=(2, 3))
    known: dict[str, Any] = {}
    for (name, analysis), (left, right) in zip(analyses.items(), panels, strict=True):
        scale = scale_of(analysis)
        draw_histogram(open_axes(left), analysis.details, scale)
        draw_flow(open_axes(right), analysis.details, scale)
        left.set_title(short(name, 40), loc="left", fontweight="bold", fontsize=10)
        right.set_title(_caption(analysis.details, scale), loc="left", fontsize=9)
        right.set(ylim=(scale.bottom, scale.top), yticks=range(2, int(scale.top) + 1, 2))
        handles, labels = right.get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True)) | known
    panels[-1][0].set_xlabel("alpha (the last bar holds larger ones too)")
    panels[-1][1].set_xlabel("layer, from the input")
    canvas.legend(known.values(), known.keys(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return canvas


def _caption(rows: pd.DataFrame, scale: Scale) -> str:
    alpha = rows["alpha"].dropna()
    if alpha.empty:
        return f"{len(rows)} layers, none with an alpha"
    within = alpha.between(scale.low, scale.high).mean()
    parts = [f"{len(rows)} layers", f"median {alpha.median():.2f}", f"{within:.0%} within {scale.label}"]
    if len(alpha) < len(rows):
        parts.append(f"{len(rows) - len(alpha)} without alpha")
    return ", ".join(parts)
