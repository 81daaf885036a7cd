"""Null models: the spectra of random matrices, and tests of a layer against them."""

from wwopt.null.evened import count_evened_spikes, even_norms, normal_scores
from wwopt.null.laws import (
    marchenko_pastur_edge,
    marchenko_pastur_quantiles,
    marchenko_pastur_spectrum,
    tracy_widom_quantile,
    tracy_widom_scaling,
    tracy_widom_sf,
)
from wwopt.null.noise_alpha import alpha_of_noise
from wwopt.null.noise_tests import is_flat, looks_like_noise, spike_p_values, spread_p_values
from wwopt.null.traps import Traps, correlation_traps

__all__ = [
    "Traps",
    "alpha_of_noise",
    "correlation_traps",
    "count_evened_spikes",
    "even_norms",
    "is_flat",
    "looks_like_noise",
    "marchenko_pastur_edge",
    "marchenko_pastur_quantiles",
    "marchenko_pastur_spectrum",
    "normal_scores",
    "spike_p_values",
    "spread_p_values",
    "tracy_widom_quantile",
    "tracy_widom_scaling",
    "tracy_widom_sf",
]
