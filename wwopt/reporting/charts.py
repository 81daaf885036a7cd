"""Geometry of the page's charts: percent across, to fit every screen, and pixels down."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.plots import spectral_density

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.analysis import Analysis
    from wwopt.plots import Scale

__all__ = ["HEIGHT", "flow", "histogram", "spectra"]

HEIGHT = 220
NOISE_STEP = 2  # every second point of the noise density is drawn
DIGITS = 2  # decimals of the logarithms on the page


def flow(rows: pd.DataFrame, scale: Scale) -> dict[str, Any]:
    """Return the chart of alpha by layer: points with their kinds, grid, band, noise and connecting lines."""
    count = max(len(rows), 1)
    points = [
        {
            "layer": index,
            "x": round(100 * (index + 0.5) / count, 3),
            "y": _height(alpha, scale),
            "kind": _kind(alpha, status, scale),
        }
        for index, (alpha, status) in enumerate(zip(rows["alpha"], rows["status"], strict=True))
    ]
    return {
        "points": points,
        "grid": [{"y": _height(alpha, scale), "label": f"{alpha:g}"} for alpha in range(2, int(scale.top) + 1, 2)],
        "band": {"y": _height(scale.high, scale), "height": _height(scale.low, scale) - _height(scale.high, scale)},
        "noise": " ".join(
            f"M{100 * (index + 0.2) / count:.2f} {_height(alpha, scale)}h{60 / count:.2f}"
            for index, alpha in enumerate(rows["alpha_null"])
            if alpha <= scale.top
        ),
        "lines": [
            " ".join(f"{point['x']},{point['y']}" for point in run)
            for fitted, run in groupby(points, key=lambda point: point["kind"] in ("fit", "above"))
            if fitted
        ],
    }


def histogram(rows: pd.DataFrame, scale: Scale) -> dict[str, Any]:
    """Return the histogram of alpha: bars of equal width, the last one with all that lies above the scale."""
    counts, _ = np.histogram(rows["alpha"].dropna().clip(scale.bottom, scale.top), bins=scale.bins)
    most = max(int(counts.max(initial=0)), 1)
    width = 100 / len(counts)
    bars = [
        {
            "x": round(index * width, 3),
            "height": round(HEIGHT * count / most, 1),
            "label": f"{count} of alpha {scale.bins[index]:.3g} to {scale.bins[index + 1]:.3g}",
        }
        for index, count in enumerate(counts.tolist())
        if count
    ]
    ticks = [{"x": _across(alpha, scale), "label": f"{alpha:g}"} for alpha in range(2, int(scale.top) + 1, 2)]
    band = {"x": _across(scale.low, scale), "width": _across(scale.high, scale) - _across(scale.low, scale)}
    median = float(rows["alpha"].median()) if rows["alpha"].notna().any() else None
    return {
        "bars": bars,
        "width": round(width, 3),
        "ticks": ticks,
        "band": band,
        "most": most,
        "median": None if median is None else {"x": _across(min(median, scale.top), scale), "label": f"{median:.2f}"},
    }


def spectra(analysis: Analysis) -> list[dict[str, Any] | None]:
    """Return each layer's binned density, fit and edge as base-ten logarithms, for the page's script to draw."""
    return [_spectrum(analysis, row) for row in analysis.details.to_dict(orient="records")]


def _spectrum(analysis: Analysis, row: dict[Any, Any]) -> dict[str, Any] | None:
    evals = analysis.spectra.get(row["name"])  # a table of WeightWatcher's has none
    shown = None if evals is None else spectral_density(evals, row)
    if shown is None:
        return None
    drawn: dict[str, Any] = {"x": _logs(shown.x), "y": _logs(shown.density)}
    if (shown.fit > 0).any():
        some = shown.fit > 0
        drawn |= {"fit": [_logs(shown.fit_x[some]), _logs(shown.fit[some])]}
    if len(shown.noise):
        x, noise = shown.noise_x[::NOISE_STEP], shown.noise[::NOISE_STEP]
        some = noise > shown.density.min() / 10
        drawn |= {"noise": [_logs(x[some]), _logs(noise[some])], "edge": _logs([shown.edge])[0]}
    return drawn


def _logs(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in np.log10(values)]


def _kind(alpha: float, status: str, scale: Scale) -> str:
    if math.isnan(alpha):
        return status
    return "above" if alpha > scale.top else "fit"


def _height(alpha: float, scale: Scale) -> float:
    """Pixels from the top; without an alpha, at the bottom."""
    shown = scale.bottom if math.isnan(alpha) else min(max(alpha, scale.bottom), scale.top)
    return round(HEIGHT * (scale.top - shown) / (scale.top - scale.bottom), 1)


def _across(alpha: float, scale: Scale) -> float:
    return round(100 * (alpha - scale.bottom) / (scale.top - scale.bottom), 2)
