"""Watching a network: what has become of its layers, and which of them are broken."""

from wwopt.comparison.compare import Alert, Comparison, compare
from wwopt.comparison.thresholds import Thresholds

__all__ = ["Alert", "Comparison", "Thresholds", "compare"]
