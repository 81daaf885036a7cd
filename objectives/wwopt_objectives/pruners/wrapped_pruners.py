"""Check of the pruners that another pruner wraps."""

from __future__ import annotations

import warnings

from optuna.pruners import BasePruner, HyperbandPruner

__all__ = ["check_wrapped"]


def check_wrapped(argument: str, pruner: object) -> None:
    """Check that what another pruner wraps is a pruner, and warn where it is Hyperband.

    Raises
    ------
    TypeError
        It is something else.
    """
    if not isinstance(pruner, BasePruner):
        raise TypeError(f"`{argument}` must be an Optuna pruner, got {type(pruner).__name__}.")
    if isinstance(pruner, HyperbandPruner):
        warnings.warn(
            "Optuna filters a sampler's trials by bracket only where HyperbandPruner is the study's own pruner; "
            "wrapped, it prunes but does not filter.",
            stacklevel=3,
        )
