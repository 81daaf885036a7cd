"""`alphas`: alpha by layer from the input to the output, the "correlation flow"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.diagnosis import STRONG_TRAP
from wwopt.plots.canvas import BLUE, GREY, ORANGE, band, figure, legend, name_ticks
from wwopt.plots.scale import Scale, scale_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats

__all__ = ["UNUSABLE", "alphas", "draw_flow"]

MOST_NAMES = 28  # that fit under the widest axis
MOST_ERROR_BARS = 60  # that can be distinguished
UNUSABLE = {"non-finite": ("X", "not finite"), "degenerate": ("v", "degenerate"), "failed": ("D", "no fit")}


def alphas(analysis: Analysis) -> Figure:
    """Draw alpha of each layer from the input to the output, the "correlation flow".

    The band holds well-trained layers; the bars are bootstrap intervals where they were asked for, else standard
    errors; the grey dashes are the alpha of noise of the same shape. Layers with a strong correlation trap are marked;
    layers without an alpha are drawn on the axis with their status, those far above the band at the top.

    Parameters
    ----------
    analysis : Analysis
        Of any network.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = analysis.details
    canvas, axes = figure(width=float(np.clip(0.28 * len(rows) + 2, 6.4, 9.6)), height=4.8)
    draw_flow(axes, rows, scale_of(analysis))
    axes.set(xlabel="layer", title="Alpha by layer")
    most = min(MOST_NAMES, round(3.3 * canvas.get_figwidth()))
    name_ticks(
        axes.set_xticks, list(rows["name"]), most=most, rotation=40, ha="right", rotation_mode="anchor", fontsize=8
    )
    legend(canvas, axes)
    return canvas


def draw_flow(axes: Axes, rows: pd.DataFrame, scale: Scale) -> None:
    """Draw alpha of the layers of a table, the first at x = 0, one unit apart."""
    x = np.arange(len(rows), dtype=float)
    alpha = rows["alpha"].to_numpy(dtype=float)
    top = float(np.clip(np.nanmax(alpha, initial=0) * 1.05, scale.high + 1, scale.top))
    size = 6.0 if len(rows) <= MOST_ERROR_BARS else 3.0
    band(axes.axhspan, scale)
    shown = np.where(alpha <= top, alpha, np.nan)
    axes.plot(x, shown, color=BLUE, lw=0.8, alpha=0.35)
    if len(rows) <= MOST_ERROR_BARS:
        axes.vlines(x, *_interval(rows, shown), color=BLUE, lw=1)
    noise = rows["alpha_null"].to_numpy(dtype=float)
    if (noise <= top).any():
        dash: dict[str, Any] = {"linestyle": "", "marker": "_", "color": GREY, "mew": 1.5, "ms": size + 3}
        axes.plot(x, np.where(noise <= top, noise, np.nan), label="noise of the same shape", **dash)
    axes.plot(x, shown, color=BLUE, linestyle="", marker="o", ms=size, label="alpha")
    _mark(axes, x[alpha > top], top, marker="^", color=BLUE, label=f"above {top:g}")
    trapped = (rows["trap_energy"] > STRONG_TRAP).to_numpy() & (alpha <= top)
    ring: dict[str, Any] = {"linestyle": "", "marker": "s", "mfc": "none", "mec": ORANGE, "ms": size + 5}
    if trapped.any():
        axes.plot(x[trapped], alpha[trapped], label=f"stray elements hold over {STRONG_TRAP:.0%}", **ring)
    for status, (marker, label) in UNUSABLE.items():
        _mark(axes, x[(rows["status"] == status).to_numpy()], scale.bottom, marker=marker, color=ORANGE, label=label)
    axes.set(ylabel="alpha", xlim=(-0.5, max(len(rows), 1) - 0.5), ylim=(scale.bottom, top))
    axes.set_yticks([scale.bottom, *range(2, int(top) + 1, 2)])
    axes.spines["bottom"].set_color(GREY)


def _interval(rows: pd.DataFrame, alpha: Floats) -> tuple[Floats, Floats]:
    """Ends of the error bars; NaN where no alpha is shown."""
    low, high, sigma = (rows[name].to_numpy(dtype=float) for name in ("alpha_low", "alpha_high", "sigma"))
    shown = np.where(np.isnan(alpha), np.nan, 1.0)
    return shown * np.where(np.isnan(low), alpha - sigma, low), shown * np.where(np.isnan(high), alpha + sigma, high)


def _mark(axes: Axes, x: Floats, y: float, *, marker: str, color: str, label: str) -> None:
    """Draw markers on the edge of the axes."""
    if len(x):
        style: dict[str, Any] = {
            "linestyle": "",
            "marker": marker,
            "color": color,
            "ms": 8,
            "clip_on": False,
            "zorder": 5,
        }
        axes.plot(x, np.full(len(x), y), label=label, **style)
