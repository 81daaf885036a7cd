"""Alignment of neighbouring layers: which layers write and read each hidden space, and how well they fit."""

from wwopt.alignment.pairs import PAIR_COLUMNS, align, subspace_alignment

__all__ = ["PAIR_COLUMNS", "align", "subspace_alignment"]
