"""What a random matrix of the same shape would show."""

from wwopt.null.laws import marchenko_pastur_edge, marchenko_pastur_quantiles

__all__ = ["marchenko_pastur_edge", "marchenko_pastur_quantiles"]
