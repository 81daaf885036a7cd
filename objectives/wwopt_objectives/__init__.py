"""Optuna objectives, pruners and constraints that look at weights alone."""

from wwopt.score import AlphaScore
from wwopt_objectives.artifacts import Best, load_best
from wwopt_objectives.constraints import apply_constraints
from wwopt_objectives.objective import AlphaObjective
from wwopt_objectives.pruner import AlphaPruner

__all__ = ["AlphaObjective", "AlphaPruner", "AlphaScore", "Best", "apply_constraints", "load_best"]
