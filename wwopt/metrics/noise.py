"""Metrics against noise: comparisons with a random matrix of the same shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from wwopt.metrics.metric import metric
from wwopt.metrics.metric_input import Layers, total
from wwopt.metrics.norms import spectral_norm
from wwopt.null import (
    alpha_of_noise,
    marchenko_pastur_edge,
    marchenko_pastur_quantiles,
    marchenko_pastur_spectrum,
    spike_p_values,
    spread_p_values,
    tracy_widom_quantile,
    tracy_widom_scaling,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wwopt.arrays import Floats

__all__ = [
    "alpha_null",
    "mp_softrank",
    "num_spikes",
    "num_traps",
    "p_noise",
    "p_spike",
    "rand_distance",
    "trap_energy",
]

FALSE_ALARM = 0.01  # probability that noise shows a spike


@metric(unit="1", higher_is_better=None, source="this estimator on Gaussian matrices of the same shape")
def alpha_null(layers: Layers) -> Floats:
    """Median alpha of Gaussian noise of the same shape, by the same estimator."""
    alpha = alpha_of_noise(layers.estimator, layers.N, layers.M, layers.k) if layers.is_whole else math.nan
    return np.full(len(layers.evals), alpha)


@metric(
    unit="1",
    higher_is_better=False,
    source="John (1972), Biometrika 59(1); Ledoit, Wolf (2002), Ann. Statist. 30(4)",
    randomized=True,
    needs_weights=True,
)
def p_noise(layers: Layers) -> Floats:
    """p-value of the spectrum's spread against shuffled elements: uniform for noise, near 0 for a trained layer."""
    return _judge(spread_p_values, layers, [elements is not None for elements in layers.elements])


@metric(
    unit="1",
    higher_is_better=False,
    source="Johnstone (2001), Ann. Statist. 29(2); Nadler (2011), J. Multivariate Anal. 102(2)",
    randomized=True,
    needs_weights=True,
)
def p_spike(layers: Layers) -> Floats:
    """p-value of the largest eigenvalue against noise; NaN where the elements have traps, since no edge bounds them."""
    untrapped = [elements is not None and not elements.traps.num_traps for elements in layers.elements]
    return _judge(spike_p_values, layers, untrapped)


@metric(
    unit="1",
    higher_is_better=None,
    source="Jensen-Shannon distance as in WeightWatcher, to Marchenko-Pastur",
    randomized=True,
)
def rand_distance(layers: Layers) -> Floats:
    """Jensen-Shannon distance to the spectrum of noise of the same shape, in [0, 0.83]; 0 for noise."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    noise = np.repeat(marchenko_pastur_spectrum(layers.N, layers.M), layers.k)
    p, q = layers.shares, noise / noise.sum()
    middle = (p + q) / 2
    divergence = total(special.rel_entr(p, middle) + special.rel_entr(q, middle))
    return np.sqrt(np.maximum(divergence, 0.0) / 2)


@metric(unit="1", higher_is_better=None, source="Martin, Mahoney (2021), JMLR 22(165); edge by Gavish, Donoho (2014)")
def mp_softrank(layers: Layers) -> Floats:
    """Edge of the random bulk over the largest eigenvalue: near 1 for noise, small for strong correlations."""
    return _bulk_variance(layers) * marchenko_pastur_edge(layers.N, layers.M) / spectral_norm(layers)


@metric(unit="count", higher_is_better=None, source="Johnstone (2001), Ann. Statist. 29(2); edge by Gavish, Donoho")
def num_spikes(layers: Layers) -> Floats:
    """Number of eigenvalues above the 99% quantile of the largest eigenvalue of noise with the bulk's variance."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    centre, width = tracy_widom_scaling(layers.N, layers.M)
    edge = centre + tracy_widom_quantile(FALSE_ALARM / layers.k) * width
    return total(layers.evals > _bulk_variance(layers)[:, None] * edge)


@metric(
    unit="count",
    higher_is_better=False,
    source="Baik, Ben Arous, Peche (2005), Ann. Probab. 33(5)",
    randomized=True,
    needs_weights=True,
)
def num_traps(layers: Layers) -> Floats:
    """Number of eigenvalues that survive a shuffle: of a mean, and of outlying elements."""
    return _of_traps(layers, "num_traps")


@metric(unit="1", higher_is_better=False, source="share of the variance", randomized=True, needs_weights=True)
def trap_energy(layers: Layers) -> Floats:
    """Share of the elements' variance in outlying elements; see the findings for its limits."""
    return _of_traps(layers, "energy")


def _judge(p_values: Callable[..., Floats], layers: Layers, judged: list[bool]) -> Floats:
    """p-values of the layers that are to be judged; NaN for the others."""
    result = np.full(len(layers.evals), np.nan)
    if any(judged) and layers.is_whole:
        moments = [
            elements.moments for elements, known in zip(layers.elements, judged, strict=True) if elements and known
        ]
        result[judged] = p_values(layers.evals[judged], layers.k, layers.N, layers.M, moments)
    return result


def _of_traps(layers: Layers, name: str) -> Floats:
    values = [getattr(elements.traps, name) if elements else math.nan for elements in layers.elements]
    return np.array(values, np.float64)


def _bulk_variance(layers: Layers) -> Floats:
    """Variance of the elements of the random bulk, from the median eigenvalue, which spikes do not move.

    NaN where not all eigenvalues are known.

    Gavish, Donoho (2014), The optimal hard threshold for singular values is 4/sqrt(3), IEEE Trans. IT 60(8).
    """
    noise = marchenko_pastur_quantiles(layers.N / layers.M, np.array([0.5]))[0] if layers.is_whole else math.nan
    return np.median(layers.evals, axis=1) / (layers.N * noise)
