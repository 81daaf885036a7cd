"""`Scale`: the range of alpha on an axis, and the band of well-trained layers for each estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw import ESTIMATORS

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats
    from wwopt.powerlaw import EstimatorName

__all__ = ["Scale", "scale_of"]

BARS = 22


@dataclass(frozen=True)
class Scale:
    """Range of alpha on an axis.

    Attributes
    ----------
    low, high : float
        Ends of the range of well-trained layers.
    bottom, top : float
        Ends of the axis. Larger alphas are drawn at its top.
    """

    low: float
    high: float
    bottom: float
    top: float

    @property
    def bins(self) -> Floats:
        """Edges of a histogram's bins, shape (23,)."""
        return np.linspace(self.bottom, self.top, BARS + 1)

    @property
    def label(self) -> str:
        """Band of well-trained layers as text."""
        return f"{self.low:g} to {self.high:g}"


def scale_of(source: Analysis | EstimatorName) -> Scale:
    """Return the scale for an analysis, or for an estimator of alpha.

    Examples
    --------
    >>> scale_of("mle").label
    '2 to 6'
    """
    name: EstimatorName = source if isinstance(source, str) else source.estimator
    estimator = ESTIMATORS[name]
    bottom = 0.0 if estimator.low < 1 else 1.0
    return Scale(max(round(estimator.low, 3), bottom), estimator.high, bottom, 2 * estimator.high)
