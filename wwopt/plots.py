"""Pictures of an analysis as matplotlib figures: returned, never shown, without pyplot's global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.metrics import WEAK
from wwopt.null import marchenko_pastur_edge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from wwopt.analysis import Analysis

__all__ = ["alpha_histogram", "alphas", "figure", "spectrum"]

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#7f7f7f"  # Okabe, Ito: told apart by everybody
WELL_TRAINED = (2.0, 6.0)
TRAPPED = 0.02  # energy in stray elements above which a layer has diverged; many good layers have a weak trap
NAMED = 24  # layers whose names still fit under an axis


def alphas(analysis: Analysis) -> Figure:
    """Draw alpha of each layer from the input to the output, the "correlation flow".

    The band from 2 to 6 holds well-trained layers. Layers with a strong correlation trap are marked, and
    layers without a fit are shown at the bottom.

    Parameters
    ----------
    analysis : Analysis
        Of any network with a layer large enough.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = analysis.details
    canvas, axes = figure(width=max(6.4, min(0.28 * len(rows) + 2, 14)))
    x = np.arange(len(rows))
    alpha, trapped = rows["alpha"].to_numpy(), rows["trap_energy"].to_numpy() > TRAPPED
    _band(axes.axhspan)
    axes.plot(x, alpha, color=BLUE, marker="o", label="alpha")
    failed = np.isnan(alpha)
    if trapped.any():
        axes.plot(
            x[trapped],
            alpha[trapped],
            linestyle="",
            marker="s",
            mfc="none",
            mec=ORANGE,
            ms=11,
            label=f"stray elements hold over {TRAPPED:.0%}",
        )
    if failed.any():
        axes.plot(x[failed], np.ones(failed.sum()), linestyle="", marker="X", color=ORANGE, ms=9, label="no fit")
    axes.set(xlabel="layer", ylabel="alpha", title="Alpha by layer", xlim=(-0.5, max(len(rows), 1) - 0.5))
    axes.set_ylim(1, max(7.0, min(float(np.nanmax(alpha, initial=7.0)) * 1.05, 12.0)))
    if len(rows) <= NAMED:
        axes.set_xticks(x, rows["name"], rotation=40, ha="right")
    axes.legend(loc="upper right")
    return canvas


def alpha_histogram(analysis: Analysis) -> Figure:
    """Draw how the alphas of the layers are distributed, with the band from 2 to 6.

    Parameters
    ----------
    analysis : Analysis
        Of any network with a layer large enough.

    Returns
    -------
    matplotlib.figure.Figure
    """
    alpha = analysis.details["alpha"].dropna().clip(upper=12)
    canvas, axes = figure()
    _band(axes.axvspan)
    axes.hist(alpha, bins=list(np.arange(1, 12.5, 0.5)), color=BLUE, edgecolor="white")
    axes.set(
        xlabel="alpha (12 and above in the last bar)", ylabel="layers", title="Distribution of alpha", xlim=(1, 12)
    )
    axes.legend(loc="upper right")
    return canvas


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
    evals = analysis.spectra[name]
    if not evals[-1] > 0:
        raise ValueError(f"The layer {name!r} is {row['status']}: it has no spectrum to draw.")
    evals = evals[evals > WEAK * evals[-1]]
    canvas, axes = figure()
    edges = np.geomspace(evals[0], evals[-1] * (1 + 1e-9), _bins(len(evals)))
    density, _ = np.histogram(evals, bins=edges, density=True)
    centres = np.sqrt(edges[1:] * edges[:-1])
    axes.plot(centres[density > 0], density[density > 0], linestyle="", marker="o", color=BLUE, label="eigenvalues")
    if np.isfinite(row["alpha"]):
        _power_law(axes, evals, float(row["alpha"]), float(row["xmin"]))
    variance = float(row["norm"] / (row["rf"] * row["N"] * row["M"]))
    edge = marchenko_pastur_edge(int(row["N"]), int(row["M"]), variance)
    axes.axvline(edge, color=GREY, linestyle=":", label="edge of noise of the same variance")
    axes.set(xscale="log", yscale="log", xlabel="eigenvalue of W'W", ylabel="density", title=f"Spectrum of {name}")
    axes.legend(loc="lower left")
    return canvas


def _power_law(axes: Axes, evals: NDArray[np.float64], alpha: float, xmin: float) -> None:
    tail = np.geomspace(xmin, evals[-1], 50)
    share = np.count_nonzero(evals >= xmin) / len(evals)
    axes.plot(
        tail, share * (alpha - 1) / xmin * (tail / xmin) ** -alpha, color=ORANGE, lw=2, label=f"alpha = {alpha:.2f}"
    )
    axes.axvline(xmin, color=ORANGE, linestyle="--", lw=1, label="xmin")


def _bins(count: int) -> int:
    return int(np.clip(count // 8, 10, 60)) + 1


def _band(span: Any) -> None:
    span(*WELL_TRAINED, color=GREEN, alpha=0.12, label="well trained, 2 to 6")


def figure(*, width: float = 6.4) -> tuple[Figure, Axes]:
    """Open a canvas of ``width`` inches in the house style.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError("Pictures need matplotlib. Run `pip install 'wwopt[plot]'`.") from error
    canvas = Figure(figsize=(width, 4.4), dpi=120, layout="constrained")
    axes = canvas.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes
