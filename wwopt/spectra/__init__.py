"""Spectra: eigenvalues of W'W, and moments of the elements of W."""

from wwopt.spectra.decomposition import Precision, eigenvalues, row_blocks, zero_limit
from wwopt.spectra.moments import Moments, element_blocks, moments_of, pool

__all__ = [
    "Moments",
    "Precision",
    "eigenvalues",
    "element_blocks",
    "moments_of",
    "pool",
    "row_blocks",
    "zero_limit",
]
