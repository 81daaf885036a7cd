"""`CombinedPruner`, which asks several pruners, and `ConstraintPruner`, for what breaks a constraint early."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from optuna.pruners import BasePruner

from wwopt_objectives.pruners.wrapped_pruners import check_wrapped
from wwopt_objectives.trial.ask_pruner import prune_reason

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["CombinedPruner", "ConstraintPruner"]

OURS = "ww_"  # prefix of the constraints of `apply_constraints`


class CombinedPruner(BasePruner):
    """Prune a trial that enough of several pruners would stop.

    Parameters
    ----------
    pruners : iterable of BasePruner
        At least one. Each is asked at every report, also when the decision is already clear, since some of Optuna's
        pruners keep count of the reports.
    at_least : int or "all"
        How many must agree: 1 for any of them, "all" for every one.

    Examples
    --------
    >>> from optuna.pruners import MedianPruner
    >>> from wwopt_objectives import AlphaPruner
    >>> pruner = CombinedPruner([AlphaPruner(), MedianPruner()], at_least=1)
    """

    def __init__(self, pruners: Iterable[BasePruner], *, at_least: int | Literal["all"] = 1) -> None:
        self._pruners = tuple(pruners)
        if not self._pruners:
            raise ValueError("`pruners` must hold at least one pruner, got none.")
        for pruner in self._pruners:
            check_wrapped("pruners", pruner)
        self._at_least = len(self._pruners) if at_least == "all" else at_least
        if not (isinstance(self._at_least, int) and 1 <= self._at_least <= len(self._pruners)):
            raise ValueError(
                f'`at_least` must be "all" or from 1 to the number of pruners, {len(self._pruners)}, got {at_least!r}.'
            )

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Decide as Optuna asks; `reason` says why."""
        return self.reason(study, trial) is not None

    def reason(self, study: optuna.Study, trial: FrozenTrial) -> str | None:
        """Say why a trial should be pruned, or None where it should go on."""
        decisions = [prune_reason(pruner, study, trial) for pruner in self._pruners]
        reasons = [reason for reason in decisions if reason is not None]
        return "; ".join(reasons) if len(reasons) >= self._at_least else None


class ConstraintPruner(BasePruner):
    """Prune a trial as soon as one of its own constraints is broken.

    For what is known before the training ends, such as the size of a network: call
    ``trial.set_constraint("megabytes", size - 10)`` in ``train``. Samplers that read pruned trials, such as TPE, learn
    from it all the same. The constraints of `apply_constraints`, whose names begin with ``ww_``, are set at the end of
    a trial and do not count: a retried trial still holds those of the trial that died.

    Examples
    --------
    >>> from wwopt_objectives import AlphaPruner
    >>> pruner = CombinedPruner([ConstraintPruner(), AlphaPruner()])
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Decide as Optuna asks; `reason` says why."""
        return self.reason(study, trial) is not None

    def reason(self, study: optuna.Study, trial: FrozenTrial) -> str | None:  # noqa: ARG002  (a pruner's signature)
        """Say which constraint is broken, or None."""
        broken = (
            f"infeasible: {key} is {value:g} above zero"
            for key, value in sorted(trial.constraints.items())
            if value > 0 and not key.startswith(OURS)
        )
        return next(broken, None)
