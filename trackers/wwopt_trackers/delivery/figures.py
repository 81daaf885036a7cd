"""Figures of a complete run, drawn by the process that delivers it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt_trackers.journal.payload import LAYER_ALPHA, SPECTRA, worst_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wwopt_trackers.journal.journal import Journal
    from wwopt_trackers.journal.records import Entry, Run

__all__ = ["alphas_over_training", "draw"]


def draw(journal: Journal, run: Run, *, worst: int) -> list[Path]:
    """Draw a run's last network: the alphas, their distribution, the worst layers' spectra, and all over training.

    Parameters
    ----------
    journal : Journal
        The journal that holds the run.
    run : Run
        The run whose last network is drawn.
    worst : int
        Layers, the worst first, whose spectra are drawn.

    Returns
    -------
    list of Path
        Their files; none where matplotlib is not installed, or no spectra were written.
    """
    written = [artifact for artifact in journal.artifacts(run.id) if artifact.folder]
    if not written or find_spec("matplotlib") is None:
        return []
    from wwopt import plots  # noqa: PLC0415  (loads matplotlib)
    from wwopt.analysis import Analysis  # noqa: PLC0415  (loads pandas)

    analysis = Analysis.load(journal.path.parent / written[-1].folder / SPECTRA)
    alphas = zip(analysis.details["name"], analysis.details["alpha"], strict=True)
    fitted = {name: alpha for name, alpha in alphas if not math.isnan(alpha)}
    figures = {"alpha-by-layer": plots.alphas(analysis), "alpha-histogram": plots.alpha_histogram(analysis)}
    for rank, name in enumerate(worst_first(fitted, analysis.estimator)[:worst], start=1):
        figures[f"spectrum-{rank}"] = plots.spectrum(analysis, name)
    analysed = [entry for entry in journal.entries(run.id) if entry.spectra]
    if len(analysed) > 1:
        figures["alphas-over-training"] = alphas_over_training(analysed)
    folder = journal.path.with_suffix("") / run.id
    return [_save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def alphas_over_training(entries: Sequence[Entry]) -> Figure:
    """Draw the alpha of each logged layer at each step as a map of colours, the input at the top.

    Parameters
    ----------
    entries : sequence of Entry
        The entries of one run.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from wwopt import plots  # noqa: PLC0415  (loads matplotlib)

    history: dict[int, dict[str, float]] = {}
    for entry in entries:
        layers = {
            key.removeprefix(LAYER_ALPHA): alpha for key, alpha in entry.metrics.items() if key.startswith(LAYER_ALPHA)
        }
        history.setdefault(entry.step, {}).update(layers)
    return plots.alphas_over_training(history)


def _save(figure: Figure, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    return file
