"""Metrics of rank: the number of directions that a layer uses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from wwopt.metrics.metric import WEIGHTWATCHER, metric
from wwopt.metrics.metric_input import Layers, total
from wwopt.metrics.norms import norm, spectral_norm
from wwopt.null import marchenko_pastur_spectrum

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = [
    "WEAK_EIGENVALUE",
    "effective_rank",
    "entropy",
    "matrix_rank",
    "rank_loss",
    "relative_rank",
    "stable_rank",
    "weak_rank_loss",
]

WEAK_EIGENVALUE = 1e-6  # share of the largest eigenvalue below which one is weak


@metric(unit="1", higher_is_better=True, source="Rudelson, Vershynin (2007), J. ACM 54(4)")
def stable_rank(layers: Layers) -> Floats:
    """Sum of the eigenvalues over the largest."""
    return norm(layers) / spectral_norm(layers)


@metric(unit="1", higher_is_better=True, source="Roy, Vetterli (2007), EUSIPCO")
def effective_rank(layers: Layers) -> Floats:
    """Exponential of the entropy of the eigenvalues."""
    return np.exp(_spectral_entropy(layers))


@metric(unit="1", higher_is_better=True, source="effective rank, against Marchenko and Pastur's law")
def relative_rank(layers: Layers) -> Floats:
    """Effective rank over that of noise of the same shape: 1 for noise, small for a collapsed layer."""
    if not layers.is_whole:
        return np.full(len(layers.evals), np.nan)
    noise = marchenko_pastur_spectrum(layers.N, layers.M)
    return effective_rank(layers) / (layers.k * math.exp(float(special.entr(noise / noise.sum()).sum())))


@metric(unit="count", higher_is_better=True, source="numpy.linalg.matrix_rank")
def matrix_rank(layers: Layers) -> Floats:
    """Number of nonzero eigenvalues."""
    return total(layers.above_zero)


@metric(unit="1", higher_is_better=True, source="Martin, Mahoney (2021), JMLR 22(165)")
def entropy(layers: Layers) -> Floats:
    """Entropy of the eigenvalues over its largest value at this rank, in [0, 1]; NaN at rank one."""
    rank = matrix_rank(layers)
    return _spectral_entropy(layers) / np.where(rank > 1, np.log(rank), np.nan)


@metric(unit="count", higher_is_better=False, source=WEIGHTWATCHER)
def rank_loss(layers: Layers) -> Floats:
    """Number of zero eigenvalues."""
    return total(~layers.above_zero)


@metric(unit="count", higher_is_better=False, source=f"{WEIGHTWATCHER}, relative to the largest eigenvalue")
def weak_rank_loss(layers: Layers) -> Floats:
    """Number of eigenvalues below a millionth of the largest."""
    return total(layers.evals < WEAK_EIGENVALUE * layers.evals[:, -1:])


def _spectral_entropy(layers: Layers) -> Floats:
    return total(special.entr(layers.shares))
