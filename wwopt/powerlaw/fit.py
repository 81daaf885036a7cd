"""`PowerLawFit`: the result of every estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = ["PowerLawFit", "deviation"]


@dataclass(frozen=True)
class PowerLawFit:
    """A power law ``p(x) ~ x^-alpha``, or ``x^-alpha exp(-Lambda x)``, fitted to ``x >= xmin``.

    Attributes
    ----------
    alpha : float
        Exponent; greater than 1, but for a truncated power law 0 or more.
    xmin, xmax : float
        Ends of the fitted range; ``xmax`` is the largest value.
    D : float
        Kolmogorov-Smirnov distance between the tail and the fit, in [0, 1].
    sigma : float
        Standard error of alpha for a given xmin; ``(alpha - 1) / sqrt(n)`` for a pure power law.
    num_pl_spikes : int
        Number ``n`` of values in the tail.
    Lambda : float
        Rate of the exponential cut-off; NaN where the estimator has none.
    """

    alpha: float
    xmin: float
    xmax: float
    D: float
    sigma: float
    num_pl_spikes: int
    Lambda: float = math.nan


def deviation(log_ratio: Floats, exponent: Floats, empirical: Floats) -> Floats:
    """Distance between the fitted and the empirical distribution function at ``x = xmin exp(log_ratio)``.

    ``exponent`` is alpha - 1, ``empirical`` the empirical distribution function; the arguments are broadcast.
    """
    return np.abs(1 - np.exp(-exponent * log_ratio) - empirical)
