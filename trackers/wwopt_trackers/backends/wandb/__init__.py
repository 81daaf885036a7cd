"""Weights & Biases: runs written, read back and promoted."""
