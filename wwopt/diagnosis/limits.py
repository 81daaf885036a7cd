"""Limits of the diagnosis: the numbers beyond which a layer is found to be something."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw import ESTIMATORS

if TYPE_CHECKING:
    from wwopt.arrays import Flags, Floats
    from wwopt.powerlaw import EstimatorName

__all__ = [
    "MAX_TRAP_ENERGY",
    "MIN_STABLE_RANK",
    "STANDARD_ERRORS",
    "STRONG_TRAP",
    "distance_from_range",
    "outside_range",
]

MIN_STABLE_RANK = 1.5  # a layer below it has collapsed: it passes on next to nothing but one direction
STRONG_TRAP = 0.02  # energy in stray elements that deserves a look; many good layers have a weaker trap
MAX_TRAP_ENERGY = 0.1  # a layer above it has diverged: a few stray elements hold that share of its energy
STANDARD_ERRORS = 2.0  # by which an alpha must lie outside of its range: fewer may be chance


def outside_range(alpha: Floats, sigma: Floats, estimator: EstimatorName) -> tuple[Flags, Flags]:
    """Return which alphas lie below the estimator's range of well-trained layers, and which above it.

    By more than `STANDARD_ERRORS` standard errors; where the error is not known, by anything. So too at tpl's lower
    end: its exponent cannot fall below 0, where there is no power law at all.

    Examples
    --------
    >>> below, above = outside_range(np.array([1.97, 1.5, 9.0]), np.array([0.12, 0.1, 1.0]), "mle")
    >>> below.tolist(), above.tolist()
    ([False, True, False], [False, False, True])
    """
    limits = ESTIMATORS[estimator]
    margin = STANDARD_ERRORS * np.nan_to_num(sigma, nan=0.0)
    margin_below = 0.0 if estimator == "tpl" else margin
    return alpha + margin_below < limits.low, alpha - margin > limits.high


def distance_from_range(alpha: float, estimator: EstimatorName) -> float:
    """Distance of an alpha from the estimator's range; infinite for a layer without one.

    Examples
    --------
    >>> distance_from_range(7.5, "mle"), distance_from_range(2.5, "hill"), distance_from_range(math.nan, "mle")
    (1.5, 0.0, inf)
    """
    limits = ESTIMATORS[estimator]
    return math.inf if math.isnan(alpha) else max(limits.low - alpha, alpha - limits.high, 0.0)
