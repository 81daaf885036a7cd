"""Prune trainings by their weights alone."""

from wwopt_objectives import AlphaPruner

__all__ = ["AlphaPruner"]
