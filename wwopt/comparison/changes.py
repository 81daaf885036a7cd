"""`Change`: distances between two versions of a weight matrix, measured in one pass over both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.block_scales import measure_block_scales
from wwopt.spectra import eigenvalues, row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wwopt.arrays import Floats, Values
    from wwopt.comparison.block_scales import BlockScales
    from wwopt.weights import Coding

__all__ = ["FEWEST", "Change", "measure_change"]

WEAK = 1e-4  # eigenvalues below this share of their mean count as lost; rounding to bfloat16 leaves 5e-6 of it
MANY = 512  # distinct values from which on a layer does not count as quantised
FEWEST = 64  # elements with which a grid of few steps, or a lost direction, is no coincidence
SAMPLE = 1 << 13  # elements looked at first
ROUNDING = 1e-5  # share of the range below which two values differ by rounding only
ITERATIONS = 8  # of the power method; a lower bound of the norm is enough


@dataclass(frozen=True)
class Change:
    """Change of a layer from the reference A to the candidate B.

    Attributes
    ----------
    size : int
        Number of elements.
    products, before, after : tuple of array
        Sums of ``A B``, ``A^2`` and ``B^2`` over each row and over each column as stored; A is the reference.
    distance : float
        ``|B - A|_F / |A|_F``.
    shift : float
        Largest singular value of ``B - A`` over that of A.
    non_finite : int
        Elements of B that are not finite.
    zeros_before, zeros : float
        Shares of elements that are exactly zero.
    steps_before, steps : float
        Steps from the smallest value to the largest, where the values lie on a grid; else infinity.
    clipped_before, clipped : float
        Shares of elements as large as the largest.
    evals_before, evals : array
        Eigenvalues of the layer as one matrix (outputs, everything else), ascending; empty where nothing has changed.
    coding : Coding or None
        How B is stored, where it is quantised.
    blocks : BlockScales or None
        How its blocks are scaled, where it has changed.
    """

    size: int
    products: tuple[Floats, Floats]
    before: tuple[Floats, Floats]
    after: tuple[Floats, Floats]
    distance: float
    shift: float
    non_finite: int
    zeros_before: float
    zeros: float
    steps_before: float
    steps: float
    clipped_before: float
    clipped: float
    evals_before: Floats
    evals: Floats
    coding: Coding | None = None
    blocks: BlockScales | None = None

    @property
    def cosine(self) -> float:
        """Cosine of the angle between both, 1 where only the scale has changed."""
        return _ratio(float(self.products[0].sum()), math.sqrt(self.before[0].sum() * self.after[0].sum()))

    @property
    def scale(self) -> float:
        """Factor that brings A closest to B."""
        return _ratio(float(self.products[0].sum()), float(self.before[0].sum()))

    @property
    def loss(self) -> float:
        """What a quantised layer lost, without factors that another layer may have taken; else the distance."""
        return self.distance if self.blocks is None else self.blocks.loss

    def factors(self, axis: int) -> Floats:
        """Return the factor of each row (axis 0) or column (axis 1) that brings A closest to B; 1 where A is zero."""
        ones = np.ones(len(self.before[axis]))
        return np.divide(self.products[axis], self.before[axis], out=ones, where=self.before[axis] > 0)

    def remainder(self, axis: int | None) -> float:
        """Return the relative distance that remains after one factor (None), or one per row (0) or column (1)."""
        products, before, after = (
            (part[0].sum(keepdims=True) if axis is None else part[axis])
            for part in (self.products, self.before, self.after)
        )
        explained = np.divide(products**2, before, out=np.zeros_like(before), where=before > 0)
        return math.sqrt(_ratio(float(np.maximum(after - explained, 0).sum()), float(after.sum())))

    @cached_property
    def spectrum(self) -> float:
        """``|sigma_B - sigma_A| / |sigma_A|`` of the ordered singular values: never more than ``distance``."""
        before, after = np.sqrt(self.evals_before), np.sqrt(self.evals)
        if not len(after):
            return 0.0
        return _ratio(float(np.linalg.norm(after - before)), float(np.linalg.norm(before)))

    @cached_property
    def rank_lost(self) -> float:
        """Share of all directions that A has and B lacks."""
        if not len(self.evals):
            return 0.0
        ranks = [int(np.count_nonzero(e > WEAK * e.mean())) for e in (self.evals_before, self.evals)]
        return (ranks[0] - ranks[1]) / len(self.evals)


def measure_change(A: Values, B: Values, columns: int, coding: Coding | None = None) -> Change:
    """Compare two matrices of the same shape.

    Parameters
    ----------
    A, B : array, shape (rows, columns * k)
        Reference and candidate.
    columns : int
        Number of columns; each has ``k`` elements in a row.
    coding : Coding, optional
        How B is stored, where it is quantised: its blocks are measured, too.

    Examples
    --------
    >>> A = np.random.default_rng(0).normal(size=(30, 20))
    >>> change = measure_change(A, 10 * A, 20)
    >>> round(change.scale, 9), round(change.remainder(None), 6)
    (10.0, 0.0)
    """
    sums = _Sums(len(A), columns)
    with np.errstate(over="ignore", invalid="ignore"):
        for start, a, b in _blocks(A, B):
            sums.add(start, a, b)
    moved = sums.distance > 0  # and finite, or infinite; not where something is NaN
    evals_before = _evals(A) if moved else np.empty(0)
    change = Change(
        size=A.size,
        products=sums.pair("products"),
        before=sums.pair("before"),
        after=sums.pair("after"),
        distance=sums.distance,
        shift=_shift(A, B, evals_before[-1]) if moved and sums.finite else 0.0 if sums.finite else math.nan,
        non_finite=sums.non_finite,
        zeros_before=1 - np.count_nonzero(A) / A.size,
        zeros=1 - np.count_nonzero(B) / B.size,
        steps_before=(steps_before := _steps(A)),
        steps=_steps(B) if moved else steps_before,
        clipped_before=_clipped(A),
        clipped=_clipped(B),
        evals_before=evals_before,
        evals=_evals(B) if moved else evals_before,
        coding=coding,
    )
    if coding is None or not moved or not sums.finite:
        return change
    block = (coding.block[0], coding.block[1] * (A.shape[1] // columns))
    return replace(change, blocks=measure_block_scales(A, B, replace(coding, block=block)))


class _Sums:
    """Sums over rows and columns, filled block by block."""

    def __init__(self, rows: int, columns: int) -> None:
        self.columns = columns
        self.rows = {name: np.zeros(rows) for name in ("products", "before", "after")}
        self.cols = {name: np.zeros(columns) for name in ("products", "before", "after")}
        self.difference, self.non_finite = 0.0, 0

    def add(self, start: int, a: Floats, b: Floats) -> None:
        """Add a block of rows that begins at ``start``."""
        self.difference += float(np.square(b - a).sum())
        self.non_finite += int(np.count_nonzero(~np.isfinite(b)))
        for name, x in (("products", a * b), ("before", a * a), ("after", b * b)):
            self.rows[name][start : start + len(a)] = x.sum(axis=1)
            self.cols[name] += x.reshape(len(a), self.columns, -1).sum(axis=(0, 2))

    def pair(self, name: str) -> tuple[Floats, Floats]:
        """Return the sums over rows and over columns."""
        return self.rows[name], self.cols[name]

    @property
    def finite(self) -> bool:
        """Whether all elements of both are finite."""
        return math.isfinite(self.difference)

    @property
    def distance(self) -> float:
        """Relative distance; infinity where only A is zero."""
        return math.sqrt(_ratio(self.difference, float(self.rows["before"].sum())))


def _ratio(above: float, below: float) -> float:
    if below > 0 or math.isnan(above):
        return above / below if below > 0 else math.nan
    return 0.0 if above == 0 else math.inf


def _blocks(A: Values, B: Values) -> Iterator[tuple[int, Floats, Floats]]:
    start = 0
    for a, b in zip(row_blocks(A), row_blocks(B), strict=True):
        yield start, a.astype(np.float64), b.astype(np.float64)
        start += len(a)


def _evals(A: Values) -> Floats:
    """Eigenvalues of the smaller Gram matrix, NaN where a value is not finite."""
    long_first = A if A.shape[0] >= A.shape[1] else A.T
    evals: Floats = eigenvalues(long_first[None])[0]
    return evals


def _shift(A: Values, B: Values, largest: float) -> float:
    """Largest singular value of the difference, a lower bound by the power method, over that of A."""
    v: Floats = np.random.default_rng(0).normal(size=(A.shape[1],))
    norm = 0.0
    for _ in range(ITERATIONS):
        v = v / np.linalg.norm(v)
        image: Floats = np.zeros(A.shape[1])
        norm = 0.0
        for _, a, b in _blocks(A, B):
            u = (b - a) @ v
            norm += float(u @ u)
            image += (b - a).T @ u
        if not image.any():
            break
        v = image
    return math.sqrt(_ratio(norm, float(largest)))


def _steps(A: Values) -> float:
    """Range of the values over the smallest gap between two; infinity where a sample shows that there are many."""
    if A.size < FEWEST:
        return math.inf
    step = max(1, A.size // SAMPLE) | 1  # odd, so that it does not keep to one column
    if len(np.unique(A.ravel(order="K")[::step])) >= MANY:
        return math.inf
    values = np.unique(A).astype(np.float64)
    if len(values) >= MANY or len(values) < 2 or not np.isfinite(values).all():
        return math.inf
    extent = float(values[-1] - values[0])
    gaps = np.diff(values)
    return float(extent / gaps[gaps > ROUNDING * extent].min())


def _clipped(A: Values) -> float:
    largest = np.abs(A).max()
    return float(np.mean(np.abs(A) == largest)) if largest > 0 else 0.0
