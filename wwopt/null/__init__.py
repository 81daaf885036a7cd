"""Null models: the spectra of random matrices, and tests of a layer against them."""

from wwopt.null.laws import marchenko_pastur_edge, marchenko_pastur_quantiles

__all__ = ["marchenko_pastur_edge", "marchenko_pastur_quantiles"]
