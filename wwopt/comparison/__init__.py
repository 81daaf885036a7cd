"""Comparison of a network with a reference, layer by layer: distances, probable causes, alerts."""

from wwopt.comparison.compare import Alert, Comparison, compare
from wwopt.comparison.junit import comparison_json, comparison_junit
from wwopt.comparison.thresholds import Thresholds

__all__ = ["Alert", "Comparison", "Thresholds", "compare", "comparison_json", "comparison_junit"]
