"""Metrics: one pure function for each number of a layer, declared once with its unit, direction and source."""

from wwopt.metrics import tail, norms, matrix_ranks, noise, invariant  # noqa: F401, I001  (each declares its metrics; columns in this order)
from wwopt.metrics.metric_input import ElementStatistics, Layers
from wwopt.metrics.matrix_ranks import WEAK_EIGENVALUE
from wwopt.metrics.metric import METRICS, Metric

__all__ = ["METRICS", "WEAK_EIGENVALUE", "ElementStatistics", "Layers", "Metric"]
