"""Samplers that learn from complete trials alone: what they are not to suggest again must not end as pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.samplers import CmaEsSampler, GPSampler, NSGAIIISampler, NSGAIISampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["ignores_pruned_trials"]

COMPLETE_ONLY = (CmaEsSampler, GPSampler, NSGAIISampler, NSGAIIISampler)


def ignores_pruned_trials(sampler: BaseSampler) -> bool:
    """Whether a sampler is known to read complete trials only, neither values nor constraints of pruned ones.

    Examples
    --------
    >>> import optuna
    >>> ignores_pruned_trials(optuna.samplers.GPSampler()), ignores_pruned_trials(optuna.samplers.TPESampler())
    (True, False)
    """
    return isinstance(sampler, COMPLETE_ONLY)
