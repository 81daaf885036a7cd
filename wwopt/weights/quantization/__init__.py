"""Quantised weights: packed codes and their scales, as the weights that they stand for; decoded when they are read."""
