"""Cost of a study's evaluations: ``python -m benchmarks.objectives.cost``."""
