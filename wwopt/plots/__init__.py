"""Plots of an analysis: matplotlib figures, returned and never shown, without pyplot's global state."""

from wwopt.plots.by_layer import alphas
from wwopt.plots.canvas import BLUE, GREY, ORANGE, figure
from wwopt.plots.density import SpectralDensity, spectral_density, spectrum
from wwopt.plots.distribution import alpha_histogram
from wwopt.plots.over_training import alphas_over_training
from wwopt.plots.scale import Scale, scale_of
from wwopt.plots.side_by_side import side_by_side

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "Scale",
    "SpectralDensity",
    "alpha_histogram",
    "alphas",
    "alphas_over_training",
    "figure",
    "scale_of",
    "side_by_side",
    "spectral_density",
    "spectrum",
]
