"""Metrics of size: norms and singular values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.metrics.metric import WEIGHTWATCHER, metric
from wwopt.metrics.metric_input import Layers, total

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = [
    "lambda_max",
    "log_norm",
    "log_spectral_norm",
    "norm",
    "spectral_norm",
    "sv_max",
    "sv_min",
]


@metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def norm(layers: Layers) -> Floats:
    """Squared Frobenius norm, the sum of the eigenvalues."""
    return total(layers.evals)


@metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_norm(layers: Layers) -> Floats:
    """Logarithm of `norm`."""
    return np.log10(norm(layers))


@metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def spectral_norm(layers: Layers) -> Floats:
    """Largest eigenvalue (the square of the matrix norm)."""
    return layers.evals[:, -1]


@metric(unit="log10 W^2", higher_is_better=None, source=WEIGHTWATCHER)
def log_spectral_norm(layers: Layers) -> Floats:
    """Logarithm of `spectral_norm`."""
    return np.log10(spectral_norm(layers))


@metric(unit="W^2", higher_is_better=None, source=WEIGHTWATCHER)
def lambda_max(layers: Layers) -> Floats:
    """Largest eigenvalue."""
    return spectral_norm(layers)


@metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_max(layers: Layers) -> Floats:
    """Largest singular value."""
    return np.sqrt(spectral_norm(layers))


@metric(unit="W", higher_is_better=None, source=WEIGHTWATCHER)
def sv_min(layers: Layers) -> Floats:
    """Smallest singular value."""
    return np.sqrt(layers.evals[:, 0])
