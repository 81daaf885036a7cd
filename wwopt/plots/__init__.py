"""Plots of an analysis: matplotlib figures, returned and never shown, without pyplot's global state."""

from wwopt.plots.by_layer import alphas
from wwopt.plots.canvas import BLUE, GREY, ORANGE, figure
from wwopt.plots.density import spectrum
from wwopt.plots.distribution import alpha_histogram
from wwopt.plots.models import side_by_side
from wwopt.plots.over_training import alphas_over_training

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "alpha_histogram",
    "alphas",
    "alphas_over_training",
    "figure",
    "side_by_side",
    "spectrum",
]
