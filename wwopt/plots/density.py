"""`spectrum`: the eigenvalue density of one layer on log-log axes, and `spectral_density`, its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.metrics import WEAK_EIGENVALUE
from wwopt.null import marchenko_pastur_edge
from wwopt.plots.canvas import BLUE, GREY, ORANGE, figure, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats

__all__ = ["SpectralDensity", "spectral_density", "spectrum"]

FEWEST_BINS, MOST_BINS = 12, 48
FIT_POINTS = 16
NOISE_POINTS = 24  # spaced evenly for a logarithmic axis, and as many dense at both edges


@dataclass(frozen=True)
class SpectralDensity:
    """Eigenvalue density of a layer in logarithmic bins, with its power law and the density of noise.

    Attributes
    ----------
    x, density : array, shape (bins,)
        Geometric middles of the bins that are not empty, and the density there.
    edge : float
        Largest eigenvalue of noise of the same shape and variance in the limit; NaN where the layer is known by its
        factors, as LoRA's, since it has not all eigenvalues.
    noise_x, noise : array, shape (points,)
        The density of that noise, by Marchenko and Pastur; empty where there is no edge.
    fit_x, fit : array, shape (points,)
        The power law: its two ends, or with an exponential cut-off a curve; empty where there is no fit.
    """

    x: Floats
    density: Floats
    edge: float
    noise_x: Floats
    noise: Floats
    fit_x: Floats
    fit: Floats


def spectral_density(evals: Floats, row: Mapping[str, Any]) -> SpectralDensity | None:
    """Bin the eigenvalues of a layer.

    Parameters
    ----------
    evals : array, shape (n,)
        Eigenvalues, ascending.
    row : mapping
        The layer's row of ``Analysis.details``.

    Returns
    -------
    SpectralDensity or None
        None where the largest eigenvalue is not finite, or is zero.
    """
    if not (len(evals) and np.isfinite(evals[-1]) and evals[-1] > 0):
        return None
    evals = evals[evals > WEAK_EIGENVALUE * evals[-1]]
    x, density = _log_histogram(evals, int(np.clip(len(evals) // 8, FEWEST_BINS, MOST_BINS)))
    k, N, M = int(row["rf"]), int(row["N"]), int(row["M"])
    fit = _power_law(evals, row)
    if row["num_evals"] < k * M:
        return SpectralDensity(x, density, math.nan, np.empty(0), np.empty(0), *fit)
    variance = float(row["norm"] / (k * N * M))
    edge = marchenko_pastur_edge(N, M, variance)
    noise = _noise(N, M, variance, lowest=evals[0])
    return SpectralDensity(x, density, edge, *noise, *fit)


def spectrum(analysis: Analysis, name: str) -> Figure:
    """Draw the eigenvalue density of a layer on log-log axes with its power law and the edge of noise.

    Parameters
    ----------
    analysis : Analysis
        That holds the layer.
    name : str
        Name of the layer.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    KeyError
        The analysis has no such layer.
    ValueError
        The layer has no eigenvalue that is finite and not zero.
    """
    if name not in analysis.spectra:
        raise KeyError(f"No layer {name!r} in the analysis; it has {', '.join(analysis.spectra) or 'none'}.")
    row: dict[Any, Any] = analysis.details.set_index("name").loc[name].to_dict()
    shown = spectral_density(analysis.spectra[name], row)
    if shown is None:
        raise ValueError(f"The layer {name!r} is {row['status']}: it has no spectrum to draw.")
    canvas, axes = figure()
    if len(shown.noise):
        axes.fill_between(shown.noise_x, shown.noise, color=GREY, alpha=0.25, lw=0, label="noise of the same variance")
        axes.axvline(shown.edge, color="black", linestyle=":", lw=1.2, label="edge of that noise")
    axes.plot(shown.x, shown.density, linestyle="", marker="o", ms=5, color=BLUE, label="eigenvalues")
    if len(shown.fit):
        label = f"alpha = {row['alpha']:.2f} ± {row['sigma']:.2f}, D = {row['D']:.3f}"
        axes.plot(shown.fit_x, shown.fit, color=ORANGE, lw=2, label=label)
        axes.axvline(row["xmin"], color=ORANGE, linestyle="--", lw=1, label="xmin")
    axes.set(xscale="log", yscale="log", xlabel="eigenvalue of W'W", ylabel="density")
    axes.set_ylim(shown.density.min() / 3, shown.density.max() * 3)
    axes.set_title(short(name, 60))
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return canvas


def _log_histogram(evals: Floats, bins: int) -> tuple[Floats, Floats]:
    edges = np.geomspace(evals[0], evals[-1] * (1 + 1e-9), bins + 1)
    density, _ = np.histogram(evals, bins=edges, density=True)
    filled = density > 0
    return np.sqrt(edges[1:] * edges[:-1])[filled], density[filled]


def _noise(N: int, M: int, variance: float, *, lowest: float) -> tuple[Floats, Floats]:
    """Density of the eigenvalues of W'W for noise, by Marchenko and Pastur, from ``lowest`` to the edge."""
    y = M / N
    low, high = (1 - math.sqrt(y)) ** 2, (1 + math.sqrt(y)) ** 2
    start = float(np.clip(lowest / (variance * N), max(low, WEAK_EIGENVALUE * high), high))
    dense_at_edges = (low + high - (high - low) * np.cos(np.linspace(0, math.pi, NOISE_POINTS))) / 2
    x = np.union1d(np.geomspace(start, high, NOISE_POINTS), dense_at_edges[dense_at_edges > start])
    density = np.sqrt(np.maximum((high - x) * (x - low), 0)) / (2 * math.pi * y * x)
    return x * variance * N, density / (variance * N)


def _power_law(evals: Floats, row: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Two ends of the straight line; with an exponential cut-off, the points of a curve."""
    alpha, xmin = float(row["alpha"]), float(row["xmin"])
    if not (np.isfinite(alpha) and np.isfinite(xmin)):
        return np.empty(0), np.empty(0)
    share = np.count_nonzero(evals >= xmin) / len(evals)
    rate = float(row.get("Lambda", math.nan)) * xmin
    if not rate > 0:
        x = np.array([xmin, evals[-1]])
        return x, share * max(alpha - 1, 0) / xmin * (x / xmin) ** -alpha
    whole = np.geomspace(1, 1 + 50 / rate, 4000)
    mass = np.trapezoid(whole**-alpha * np.exp(-rate * (whole - 1)), whole)
    x = np.geomspace(xmin, evals[-1], FIT_POINTS)
    return x, share / xmin / mass * (x / xmin) ** -alpha * np.exp(-rate * (x / xmin - 1))
