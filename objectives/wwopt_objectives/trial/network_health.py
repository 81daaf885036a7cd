"""Health of a network: the signs of collapse and divergence, and the limits beyond which it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["MAX_TRAP_ENERGY", "MIN_STABLE_RANK", "Health", "broken_reason", "health_of"]

MIN_STABLE_RANK = 1.5  # a layer below it has collapsed: it passes on next to nothing but one direction
MAX_TRAP_ENERGY = 0.1  # a layer above it has diverged: a few stray elements hold that share of its energy


class Health(NamedTuple):
    """Signs of collapse and divergence, each of the worst layer.

    Attributes
    ----------
    unusable : float
        Share of the layers that are not finite, degenerate or without a fit.
    stable_rank : float
        The smallest stable rank of a layer.
    trap_energy : float
        The largest share of a layer's energy in elements that stand out.
    """

    unusable: float
    stable_rank: float
    trap_energy: float


def health_of(analysis: Analysis) -> Health:
    """Read the health of a network from its analysis; one without any layer is as bad as can be."""
    usable, rows = analysis.words["status"] == "success", analysis.numbers
    if not len(usable):
        return Health(unusable=1.0, stable_rank=0.0, trap_energy=0.0)
    return Health(
        unusable=float(1 - usable.mean()),
        stable_rank=float(np.nan_to_num(rows["stable_rank"]).min()),
        trap_energy=float(np.nan_to_num(rows["trap_energy"]).max()),
    )


def broken_reason(health: Health, step: int) -> str | None:
    """Say that a network has collapsed or diverged at a step; None where it has not."""
    if health.unusable > 0:
        return f"collapsed: {health.unusable:.0%} of the layers cannot be fitted at step {step}"
    if health.stable_rank < MIN_STABLE_RANK:
        return f"collapsed: a stable rank of {health.stable_rank:.2f} at step {step}"
    if health.trap_energy > MAX_TRAP_ENERGY:
        return f"diverged: {health.trap_energy:.0%} of a layer's energy in stray elements at step {step}"
    return None
