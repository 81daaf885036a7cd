"""`Layers`: spectra and fits of layers of one shape, the argument of every metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from wwopt.powerlaw import PowerLawFit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats
    from wwopt.null import Traps
    from wwopt.powerlaw import EstimatorName
    from wwopt.spectra import Moments

__all__ = ["ElementStatistics", "Layers", "total"]

FITTED = tuple(each.name for each in fields(PowerLawFit))
_numbers = attrgetter(*FITTED)


@dataclass(frozen=True)
class ElementStatistics:
    """Statistics of a layer's elements that no shuffle of them changes.

    Attributes
    ----------
    moments : Moments
        Of all elements.
    traps : Traps
        Eigenvalues that survive a shuffle.
    """

    moments: Moments
    traps: Traps


@dataclass(frozen=True)
class Layers:
    """Spectra of layers of equal shape, with their fits.

    Attributes
    ----------
    evals : array, shape (layers, n)
        Eigenvalues of W'W of each layer's k matrices, pooled, ascending.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    zero_tol : array, shape (layers,)
        Eigenvalues up to this one count as zero.
    fits : sequence of PowerLawFit or None
        The power law of each tail; None where none could be fitted.
    estimator : {"mle", "hill", "peak", "tpl"}
        Estimator of the fits.
    intervals : array, shape (layers, 2), optional
        Bootstrap interval of each alpha; None where none was asked for.
    elements : sequence of ElementStatistics or None
        Of each layer; None where they were not computed. Empty where the weights are not at hand.
    """

    evals: Floats
    k: int
    N: int
    M: int
    zero_tol: Floats
    fits: Sequence[PowerLawFit | None]
    estimator: EstimatorName = "mle"
    intervals: Floats | None = None
    elements: Sequence[ElementStatistics | None] = field(default=())

    def fitted(self, name: str) -> Floats:
        """Return one attribute of each fit, shape (layers,); NaN where there is no fit."""
        return self._fitted[name]

    @cached_property
    def _fitted(self) -> dict[str, Floats]:
        rows = [_numbers(fit) if fit else (math.nan,) * len(FITTED) for fit in self.fits]
        return dict(zip(FITTED, np.array(rows, dtype=np.float64).reshape(-1, len(FITTED)).T, strict=True))

    @property
    def is_whole(self) -> bool:
        """Whether all eigenvalues are known; a product of thin factors has only as many as its rank."""
        return bool(self.evals.shape[1] == self.k * self.M)

    @cached_property
    def above_zero(self) -> Flags:
        """Mask of the nonzero eigenvalues, shape (layers, n)."""
        return self.evals > self.zero_tol[:, None]

    @cached_property
    def shares(self) -> Floats:
        """Eigenvalues over their sum, shape (layers, n)."""
        return self.evals / total(self.evals)[:, None]


def total(values: NDArray[np.generic]) -> Floats:
    """Sum over each row, shape (layers,); of a mask, the number of its true elements."""
    sums: Floats = values.sum(axis=1, dtype=np.float64)
    return sums
