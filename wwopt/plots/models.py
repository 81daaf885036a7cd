"""Two or more networks side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wwopt.plots.by_layer import draw_flow
from wwopt.plots.canvas import blank, open_axes, short
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
    """Draw for each network the distribution of alpha and alpha by layer, on axes that can be compared.

    A network of which many layers lie above the band is less well trained than one of the same kind whose layers
    lie in it.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        Name to what was measured, one to twelve.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        There is no analysis, or there are more than a page holds.
    """
    if not 1 <= len(analyses) <= MOST_MODELS:
        raise ValueError(f"`analyses` must hold 1 to {MOST_MODELS} networks to be read on a page, got {len(analyses)}.")
    canvas = blank(width=9.6, height=1.1 + 1.9 * len(analyses))
    panels = canvas.subplots(len(analyses), 2, squeeze=False, width_ratios=(2, 3))
    known: dict[str, Any] = {}
    for (name, analysis), (left, right) in zip(analyses.items(), panels, strict=True):
        scale = scale_of(analysis)
        draw_histogram(open_axes(left), analysis.details, scale)
        draw_flow(open_axes(right), analysis.details, scale)
        left.set_title(short(name, 40), loc="left", fontweight="bold", fontsize=10)
        right.set_title(_in_words(analysis.details, scale), loc="left", fontsize=9)
        right.set(ylim=(scale.bottom, scale.top), yticks=range(2, int(scale.top) + 1, 2))
        handles, labels = right.get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True)) | known
    panels[-1][0].set_xlabel("alpha (the last bar holds larger ones too)")
    panels[-1][1].set_xlabel("layer, from the input")
    canvas.legend(known.values(), known.keys(), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return canvas


def _in_words(rows: pd.DataFrame, scale: Scale) -> str:
    alpha = rows["alpha"].dropna()
    if alpha.empty:
        return f"{len(rows)} layers, none with an alpha"
    parts = [f"median {alpha.median():.2f}", f"{alpha.between(scale.low, scale.high).mean():.0%} within {scale.words}"]
    return ", ".join(
        [f"{len(rows)} layers", *parts, *([f"{missing} without alpha"] if (missing := len(rows) - len(alpha)) else [])]
    )
