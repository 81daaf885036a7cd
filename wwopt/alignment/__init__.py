"""Who writes what whom reads, and how well that fits: from matrices to the pairs of an analysis."""

from wwopt.alignment.pairs import PAIR_COLUMNS, align, subspace_alignment

__all__ = ["PAIR_COLUMNS", "align", "subspace_alignment"]
