"""Metrics that no rescaling of hidden units changes; `wwopt.analyze` fills them in, since they need neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.metrics.metric import metric

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.metrics.metric_input import Layers

__all__ = [
    "evened_spikes",
    "invariant_alpha",
    "invariant_num_pl_spikes",
    "invariant_relative_rank",
    "invariant_sides",
    "invariant_stable_rank",
    "invariant_trap_energy",
    "neighbour_correlation",
    "weak_overlap",
]

FIXED = "with fixed scales, see docs/score.md"


@metric(unit="count", higher_is_better=None, source=f"number of sides {FIXED}", needs_weights=True)
def invariant_sides(layers: Layers) -> Floats:
    """Number of the layer's sides, inputs and outputs, on which the scales are fixed: 0 where no neighbour is known."""
    return _of_the_network(layers)


@metric(unit="1", higher_is_better=None, source=f"alpha {FIXED}", needs_weights=True)
def invariant_alpha(layers: Layers) -> Floats:
    """Alpha with the scales of hidden units fixed."""
    return _of_the_network(layers)


@metric(unit="count", higher_is_better=None, source=f"num_pl_spikes {FIXED}", needs_weights=True)
def invariant_num_pl_spikes(layers: Layers) -> Floats:
    """Number of eigenvalues in the tail, with the scales of hidden units fixed."""
    return _of_the_network(layers)


@metric(unit="1", higher_is_better=True, source=f"stable_rank {FIXED}", needs_weights=True)
def invariant_stable_rank(layers: Layers) -> Floats:
    """Stable rank with the scales of hidden units fixed."""
    return _of_the_network(layers)


@metric(unit="1", higher_is_better=True, source=f"relative_rank {FIXED}", needs_weights=True)
def invariant_relative_rank(layers: Layers) -> Floats:
    """Effective rank over that of noise, with the scales of hidden units fixed."""
    return _of_the_network(layers)


@metric(unit="1", higher_is_better=False, source=f"trap_energy {FIXED}", randomized=True, needs_weights=True)
def invariant_trap_energy(layers: Layers) -> Floats:
    """Share of the variance in outlying elements, with the scales of hidden units fixed."""
    return _of_the_network(layers)


@metric(
    unit="count",
    higher_is_better=None,
    source="Sinkhorn, Knopp (1967), Pacific J. Math. 21(2); Johnstone (2001), Ann. Statist. 29(2)",
    randomized=True,
    needs_weights=True,
)
def evened_spikes(layers: Layers) -> Floats:
    """Number of eigenvalues beyond noise, with rows and columns evened out and elements ranked: 0 in 99% of noise."""
    return _of_the_network(layers)


@metric(
    unit="1",
    higher_is_better=None,
    source="Gram matrices, evened out",
    randomized=True,
    needs_weights=True,
)
def neighbour_correlation(layers: Layers) -> Floats:
    """Correlation of what is written into a hidden space with what reads it, beyond chance; of the best space."""
    return _of_the_network(layers)


@metric(unit="1", higher_is_better=None, source="subspaces, evened out", randomized=True, needs_weights=True)
def weak_overlap(layers: Layers) -> Floats:
    """Overlap of the weak directions in which a space is written and read, at most 1; NaN unless they correlate."""
    return _of_the_network(layers)


def _of_the_network(layers: Layers) -> Floats:
    """NaN: one layer does not tell."""
    return np.full(len(layers.evals), np.nan)
