"""A pruner's decision and its reason in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

__all__ = ["prune_reason"]


def prune_reason(pruner: BasePruner, study: optuna.Study, trial: FrozenTrial) -> str | None:
    """Get why a pruner would stop a trial, or None where it would not.

    A pruner that has a ``reason(study, trial)`` gives it; of another one the name is the reason. With several
    directions Optuna takes no reports, so that only a pruner with a reason can say anything.
    """
    explain = getattr(pruner, "reason", None)
    if explain is not None:
        reason: str | None = explain(study, trial)
        return reason
    if len(study.directions) > 1:
        return None
    return type(pruner).__name__ if pruner.prune(study, trial) else None
