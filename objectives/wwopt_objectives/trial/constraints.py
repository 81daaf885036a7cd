"""Constraints on a trial, for samplers and for `study.best_trial`: a network that is broken is not feasible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import optuna

    from wwopt.analysis import Analysis

__all__ = ["CONSTRAINTS", "apply_constraints", "fail_constraints"]

FEWEST_DIRECTIONS = 1.5  # stable rank below which a layer passes on next to nothing but one direction
MOST_TRAPPED = 0.1  # energy in stray elements above which a layer has diverged
MOST_OVER_6 = 0.5
FAILED = 1.0

CONSTRAINTS = ("ww_collapsed", "ww_trapped", "ww_undertrained", "ww_unusable")


def apply_constraints(trial: optuna.Trial, analysis: Analysis) -> dict[str, float]:
    """Set wwopt's constraints on a trial; call it once, at the end of the trial.

    A trial is feasible when all are zero or less:

    - ``ww_collapsed``: 1.5 less the smallest stable rank of a layer;
    - ``ww_trapped``: the largest trap energy of a layer, less 0.1;
    - ``ww_undertrained``: the share of layers with alpha above 6, less 0.5;
    - ``ww_unusable``: the share of layers that are not finite, degenerate or without a fit.

    Parameters
    ----------
    trial : optuna.Trial
        A running trial. Where it is a retry of one that died, the values it inherited are replaced.
    analysis : wwopt.Analysis
        Of the trained network. One without any layer breaks every constraint.

    Returns
    -------
    dict of str to float
        The values, always the same keys in the same order.
    """
    values = _values(analysis)
    _set(trial, values)
    return values


def fail_constraints(trial: optuna.Trial) -> None:
    """Mark a trial that has no analysis as infeasible: an unset constraint would read as kept."""
    _set(trial, dict.fromkeys(CONSTRAINTS, FAILED))


def _values(analysis: Analysis) -> dict[str, float]:
    status, rows = analysis.words["status"], analysis.numbers
    usable = status == "success"
    if not usable.any() or (status == "non-finite").any():
        return dict.fromkeys(CONSTRAINTS, FAILED)
    return {
        "ww_collapsed": FEWEST_DIRECTIONS - float(np.nan_to_num(rows["stable_rank"]).min()),
        "ww_trapped": float(np.nan_to_num(rows["trap_energy"]).max()) - MOST_TRAPPED,
        "ww_undertrained": float((rows["alpha"] > 6).mean()) - MOST_OVER_6,
        "ww_unusable": float(1 - usable.mean()),
    }


def _set(trial: optuna.Trial, values: dict[str, float]) -> None:
    """Write the constraints where Optuna keeps them.

    ``set_constraint`` reads the whole trial before each write, and leaves the value that a retried trial inherited.
    """
    for key, value in values.items():
        trial.storage.set_trial_system_attr(trial._trial_id, f"constraints:{key}", value)  # noqa: SLF001
