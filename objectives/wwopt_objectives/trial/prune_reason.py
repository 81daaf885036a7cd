"""How a pruner is asked for its decision and its reason at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from optuna.pruners import HyperbandPruner

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

__all__ = ["ask", "warn_of_hyperband"]


def ask(pruner: BasePruner, study: optuna.Study, trial: FrozenTrial) -> str | None:
    """Ask a pruner once, and return why it would stop a trial, or None.

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


def warn_of_hyperband(pruners: Iterable[BasePruner | None]) -> None:
    """Warn where Hyperband is put inside another pruner."""
    if any(isinstance(pruner, HyperbandPruner) for pruner in pruners):
        warnings.warn(
            "Optuna filters a sampler's trials by bracket only where HyperbandPruner is the study's own pruner; "
            "wrapped, it prunes but does not filter.",
            stacklevel=3,
        )
