"""Metrics of the spectrum's tail: alpha, the fit and what follows from both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wwopt.metrics.metric import WEIGHTWATCHER, metric
from wwopt.metrics.metric_input import Layers, total
from wwopt.metrics.norms import log_spectral_norm

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = [
    "D",
    "Lambda",
    "alpha",
    "alpha_corrected",
    "alpha_high",
    "alpha_low",
    "alpha_weighted",
    "log_alpha_norm",
    "num_pl_spikes",
    "sigma",
    "xmax",
    "xmin",
]


@metric(unit="1", higher_is_better=None, source="Clauset, Shalizi, Newman (2009), eq. 3.1; 2 is ideal, see the docs")
def alpha(layers: Layers) -> Floats:
    """Exponent of the power law fitted to the spectrum's tail."""
    return layers.fitted("alpha")


@metric(unit="1", higher_is_better=None, source="Clauset et al. (2009), section 3.5; xmin is one of the values")
def alpha_corrected(layers: Layers) -> Floats:
    """Alpha corrected for its bias in small samples, ``1 + (alpha - 1) (n - 2) / n`` for a tail of n; NaN for "tpl"."""
    n = layers.fitted("num_pl_spikes")
    corrected = 1 + (layers.fitted("alpha") - 1) * (n - 2) / n
    return np.where((n > 2) & (layers.estimator != "tpl"), corrected, np.nan)


@metric(unit="1", higher_is_better=None, source="Efron (1987), J. Am. Stat. Assoc. 82(397)")
def alpha_low(layers: Layers) -> Floats:
    """Lower end of the bootstrap interval of alpha; NaN without ``confidence``."""
    return np.full(len(layers.evals), np.nan) if layers.intervals is None else layers.intervals[:, 0]


@metric(unit="1", higher_is_better=None, source="Efron (1987), J. Am. Stat. Assoc. 82(397)")
def alpha_high(layers: Layers) -> Floats:
    """Upper end of the bootstrap interval of alpha; NaN without ``confidence``."""
    return np.full(len(layers.evals), np.nan) if layers.intervals is None else layers.intervals[:, 1]


@metric(unit="W^-2", higher_is_better=None, source="Clauset et al. (2009), table 2.1, power law with cutoff")
def Lambda(layers: Layers) -> Floats:  # noqa: N802  (the column's name)
    """Rate of the tail's exponential cut-off; NaN unless the estimator is "tpl"."""
    return layers.fitted("Lambda")


@metric(unit="W^2", higher_is_better=None, source="Clauset et al. (2009), section 3.3")
def xmin(layers: Layers) -> Floats:
    """Smallest eigenvalue in the tail."""
    return layers.fitted("xmin")


@metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def xmax(layers: Layers) -> Floats:
    """Largest eigenvalue in the tail."""
    return layers.fitted("xmax")


@metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.9")
def D(layers: Layers) -> Floats:  # noqa: N802  (the column's name)
    """Kolmogorov-Smirnov distance between the tail and its fit."""
    return layers.fitted("D")


@metric(unit="1", higher_is_better=False, source="Clauset et al. (2009), eq. 3.2")
def sigma(layers: Layers) -> Floats:
    """Standard error of alpha."""
    return layers.fitted("sigma")


@metric(unit="count", higher_is_better=None, source=WEIGHTWATCHER)
def num_pl_spikes(layers: Layers) -> Floats:
    """Number of eigenvalues in the tail."""
    return layers.fitted("num_pl_spikes")


@metric(unit="log10 W^2alpha", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def alpha_weighted(layers: Layers) -> Floats:
    """Alpha times the logarithm of the largest eigenvalue ("alpha-hat")."""
    return layers.fitted("alpha") * log_spectral_norm(layers)


@metric(unit="log10 W^2alpha", higher_is_better=False, source="Martin, Peng, Mahoney (2021), Nat. Commun. 12:4122")
def log_alpha_norm(layers: Layers) -> Floats:
    """Logarithm of the Schatten norm with power alpha, ``log10 sum(lambda^alpha)``."""
    powers = np.where(layers.above_zero, layers.fitted("alpha")[:, None] * np.log(layers.evals), -np.inf)
    largest = powers[:, -1]
    return (largest + np.log(total(np.exp(powers - largest[:, None])))) / math.log(10)
