"""Health of a network: the signs of collapse and divergence, as a trial keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wwopt.diagnosis import MAX_TRAP_ENERGY, MIN_STABLE_RANK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wwopt.analysis import Analysis
    from wwopt.diagnosis import Finding

__all__ = ["Health", "broken_reason", "health_of"]

UNUSABLE = ("non-finite", "zero", "degenerate")  # keys of findings about layers whose other numbers say nothing


class Health(NamedTuple):
    """Signs of collapse and divergence, each of the worst layer.

    Attributes
    ----------
    unusable : float
        Share of the layers that are not finite, zero or of rank one; 1 where a tensor that is not analysed is broken.
    stable_rank : float
        The smallest stable rank of a layer. Embeddings and differences to a base, which may have any, count as no less
        than the limit.
    trap_energy : float
        The largest share of a layer's energy in elements that stand out; embeddings count as no more than the limit.
    """

    unusable: float
    stable_rank: float
    trap_energy: float


def health_of(analysis: Analysis) -> Health:
    """Read the health of a network from its analysis; one without any layer is as bad as can be."""
    rows, n_layers = analysis.numbers, len(analysis.words["status"])
    if not n_layers:
        return Health(unusable=1.0, stable_rank=0.0, trap_energy=0.0)
    embedding = analysis.words["layer_type"] == "embedding"
    ranks, energies = np.nan_to_num(rows["stable_rank"]), np.nan_to_num(rows["trap_energy"])
    of_any_rank = embedding | analysis.is_difference
    return Health(
        unusable=_unusable(analysis.broken, n_layers),
        stable_rank=float(np.where(of_any_rank, np.maximum(ranks, MIN_STABLE_RANK), ranks).min()),
        trap_energy=float(np.where(embedding, np.minimum(energies, MAX_TRAP_ENERGY), energies).max()),
    )


def broken_reason(health: Health, step: int) -> str | None:
    """Say that a network is broken, has collapsed or diverged at a step; None where it has not."""
    if health.unusable > 0:
        return f"broken: {health.unusable:.0%} of the network is not finite, zero or of rank one at step {step}"
    if health.stable_rank < MIN_STABLE_RANK:
        return f"collapsed: a stable rank of {health.stable_rank:.2f} at step {step}"
    if health.trap_energy > MAX_TRAP_ENERGY:
        return f"diverged: {health.trap_energy:.0%} of a layer's energy in stray elements at step {step}"
    return None


def _unusable(broken: Sequence[Finding], n_layers: int) -> float:
    if any(finding.row is None for finding in broken):
        return 1.0
    return len({finding.row for finding in broken if finding.key in UNUSABLE}) / n_layers
