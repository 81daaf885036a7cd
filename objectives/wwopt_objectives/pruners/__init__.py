"""Pruners that stop a training by its weights."""

from wwopt_objectives.pruners.alpha_pruner import AlphaPruner
from wwopt_objectives.pruners.combined import CombinedPruner, ConstraintPruner

__all__ = ["AlphaPruner", "CombinedPruner", "ConstraintPruner"]
