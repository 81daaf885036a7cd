"""Constraints on a trial: Optuna's samplers and `study.best_trial` leave a broken network out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt.diagnosis import MAX_TRAP_ENERGY, MIN_STABLE_RANK
from wwopt_objectives.trial.network_health import health_of

if TYPE_CHECKING:
    import optuna

    from wwopt.analysis import Analysis

__all__ = ["CONSTRAINTS", "apply_constraints", "fail_constraints", "mark_unusable"]

CONSTRAINTS = ("ww_collapsed", "ww_trapped", "ww_undertrained", "ww_unusable")
MAX_SHARE_UNDER_TRAINED = 0.5
FAILED = 1.0


def apply_constraints(trial: optuna.Trial, analysis: Analysis) -> dict[str, float]:
    """Set wwopt's constraints on a trial; call it once, at the end of the trial.

    A trial is feasible when all are zero or less:

    - ``ww_collapsed``: 1.5 less the smallest stable rank of a layer;
    - ``ww_trapped``: the largest trap energy of a layer, less 0.1;
    - ``ww_undertrained``: the share of layers that `Analysis.findings` calls under-trained, less 0.5;
    - ``ww_unusable``: the share of layers that are not finite, zero or of rank one.

    Parameters
    ----------
    trial : optuna.Trial
        A running trial. Where it is a retry of one that died, the values it inherited are replaced.
    analysis : wwopt.Analysis
        Of the trained network.

    Returns
    -------
    dict of str to float
        The values, always the same keys in the same order.

    Raises
    ------
    ValueError
        No layer was measured; the message says why, and the way out.

    Examples
    --------
    >>> import optuna, torch, wwopt
    >>> def objective(trial):
    ...     torch.manual_seed(0)
    ...     analysis = wwopt.analyze(torch.nn.Linear(100, trial.suggest_int("width", 60, 90)))
    ...     apply_constraints(trial, analysis)
    ...     return analysis.summary["alpha"]
    >>> study = optuna.create_study()
    >>> study.optimize(objective, n_trials=1)
    >>> sorted(study.trials[0].constraints)
    ['ww_collapsed', 'ww_trapped', 'ww_undertrained', 'ww_unusable']
    """
    if analysis.unmeasured:
        raise ValueError(f"No layer was measured: {analysis.unmeasured}")
    values = _values(analysis)
    _set(trial, values)
    return values


def fail_constraints(trial: optuna.Trial) -> None:
    """Mark a trial that has no analysis as infeasible: Optuna reads an unset constraint as satisfied."""
    _set(trial, dict.fromkeys(CONSTRAINTS, FAILED))


def mark_unusable(trial: optuna.Trial) -> None:
    """Mark a trial as infeasible whose loss is not finite, whatever its weights say."""
    _set(trial, {"ww_unusable": FAILED})


def _values(analysis: Analysis) -> dict[str, float]:
    health, keys = health_of(analysis), [finding.key for finding in analysis.findings]
    if health.unusable == 1 or "non-finite" in keys:
        return dict.fromkeys(CONSTRAINTS, FAILED)
    return {
        "ww_collapsed": MIN_STABLE_RANK - health.stable_rank,
        "ww_trapped": health.trap_energy - MAX_TRAP_ENERGY,
        "ww_undertrained": keys.count("under-trained") / len(analysis.words["status"]) - MAX_SHARE_UNDER_TRAINED,
        "ww_unusable": health.unusable,
    }


def _set(trial: optuna.Trial, values: dict[str, float]) -> None:
    """Write the constraints where Optuna keeps them.

    ``set_constraint`` reads the whole trial before each write, and leaves the value that a retried trial inherited.
    """
    for key, value in values.items():
        trial.storage.set_trial_system_attr(trial._trial_id, f"constraints:{key}", value)  # noqa: SLF001
