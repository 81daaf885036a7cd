"""What looking at weights costs a study: ``python -m benchmarks.objectives.cost``."""
