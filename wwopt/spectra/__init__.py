"""Spectra: eigenvalues of W'W, and moments of the elements of W."""

from wwopt.spectra.decomposition import Precision, eigenvalues, row_blocks, zero_limit

__all__ = ["Precision", "eigenvalues", "row_blocks", "zero_limit"]
