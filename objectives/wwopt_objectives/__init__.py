"""Optuna objectives, pruners and constraints that read the weights alone."""

try:
    import optuna as _optuna  # noqa: F401
except ImportError as error:
    raise ImportError("wwopt_objectives needs Optuna. Run `pip install 'wwopt[optuna]'`.") from error

from wwopt.score import AlphaScore
from wwopt_objectives.objective import AlphaObjective
from wwopt_objectives.pruners.alpha_pruner import AlphaPruner
from wwopt_objectives.pruners.combined import CombinedPruner, ConstraintPruner
from wwopt_objectives.study.artifacts import Best, load_best
from wwopt_objectives.study.select_trial import ChosenTrial, Reason, select
from wwopt_objectives.training.monitor import AlphaMonitor
from wwopt_objectives.trial.constraints import apply_constraints

__all__ = [
    "AlphaMonitor",
    "AlphaObjective",
    "AlphaPruner",
    "AlphaScore",
    "Best",
    "ChosenTrial",
    "CombinedPruner",
    "ConstraintPruner",
    "Reason",
    "apply_constraints",
    "load_best",
    "select",
]
