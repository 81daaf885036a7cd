"""Backends that a journal is delivered to: MLflow, Weights & Biases, trackers of accelerate."""
