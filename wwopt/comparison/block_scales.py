"""`BlockScales`: how the blocks of a quantised layer are scaled against the reference, and what the layer lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.spectra import row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wwopt.arrays import Flags, Floats, Values
    from wwopt.weights import Coding

__all__ = ["BlockScales", "measure_block_scales"]

FEWEST = 16  # elements of a block whose factor says something
SURE = 12.0  # errors of a factor by rounding, for one block among the millions of a network
TYPICAL = 4.0  # of the median block: rounding leaves 0.7, whatever the layer
ALL_MOVED = 0.03  # of the median block: a good copy leaves 0.01
FAR = {1: 4.0, 2: 4.0, 3: 2.0}  # factor that no rounding of a block's largest value explains, by bits
FAR_OTHERS = 1.5
LEAST_SHARE = 0.1  # of what the layer lost, for which wrong scales must account
OF_FEW_BITS = 0.3  # more than four bits and fewer leave: factors of rows and columns are looked for
TURNS = 4  # for rows and columns each


@dataclass(frozen=True)
class BlockScales:
    """Factors that bring the blocks of the reference closest to the candidate's.

    Attributes
    ----------
    count : int
        Blocks that hold anything.
    wrong : int
        Those that are scaled as no rounding scales a block.
    low, high : float
        Least and largest factor of these; 1 where there are none.
    loss : float
        ``|B - A| / |A|``, with factors of the rows and columns of A where these are folded.
    folded : bool
        Whether such factors explain the change: AWQ and SmoothQuant fold their inverse into other layers.
    """

    count: int
    wrong: int
    low: float
    high: float
    loss: float
    folded: bool = False


def measure_block_scales(A: Values, B: Values, coding: Coding) -> BlockScales:
    """Tell blocks with a wrong scale from those that are rounded.

    Within a block with a wrong scale, B is A times a factor, up to a constant. The factor of a block with n elements is
    off by about ``remainder / sqrt(n)`` where the block is rounded. It is wrong where that is less than a twelfth of
    its deviation from 1 and it is far from 1; and, if the median block is off by four times as much, wherever it is,
    unless there are fewer than four bits.

    Parameters
    ----------
    A, B : array, shape (rows, columns)
        Reference, and candidate with scales for its blocks.
    coding : Coding
        How B is stored.

    Examples
    --------
    >>> from wwopt.weights import Coding
    >>> A = np.random.default_rng(0).normal(size=(8, 128))
    >>> scales = measure_block_scales(A, A * np.where(np.arange(128) < 64, 2, 1), Coding("FP8", 8, (1, 64)))
    >>> scales.count, scales.wrong, scales.low, scales.high
    (16, 8, 2.0, 2.0)
    """
    block = (coding.block[0] or A.shape[0], coding.block[1] or A.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        plain = sums = _sums(A, B, block)
        if plain.remainder > OF_FEW_BITS:
            folded = _sums(A, B, block, _factors(A, B))
            sums = folded if folded.remainder < plain.remainder / 2 else plain
    used, factors, wrong = _judge(sums, coding.bits)
    loss, lost, is_folded = sums.loss, sums.lost, sums is not plain
    if not wrong.any() or float(lost[used][wrong].sum()) < LEAST_SHARE * float(lost.sum()):
        return BlockScales(len(factors), 0, 1.0, 1.0, loss, is_folded)
    low, high = float(factors[wrong].min()), float(factors[wrong].max())
    return BlockScales(len(factors), int(wrong.sum()), low, high, loss, is_folded)


@dataclass
class _BlockSums:
    """Sums over each block: of the elements, of 1, A, B, A B, A^2 and B^2."""

    sizes: Floats
    a: Floats
    b: Floats
    products: Floats
    before: Floats
    after: Floats

    @property
    def lost(self) -> Floats:
        """``|B - A|^2`` of each block."""
        return self.after - 2 * self.products + self.before

    @property
    def loss(self) -> float:
        """``|B - A| / |A|``."""
        before = float(self.before.sum())
        return float(np.sqrt(max(float(self.lost.sum()), 0.0) / before)) if before > 0 else 0.0

    @property
    def remainder(self) -> float:
        """Relative distance that remains after a factor for each block."""
        explained = _ratio(self.products**2, self.before)
        after = float(self.after.sum())
        return float(np.sqrt(max(float((self.after - explained).sum()), 0.0) / after)) if after > 0 else 0.0


def _judge(sums: _BlockSums, bits: int) -> tuple[Flags, Floats, Flags]:
    """Return which blocks have a factor, the factors, and which of these are wrong."""
    products = sums.products - sums.a * sums.b / sums.sizes
    before = sums.before - sums.a**2 / sums.sizes
    after = sums.after - sums.b**2 / sums.sizes
    used = (before > 1e-9 * sums.before) & np.isfinite(after) & (sums.sizes >= FEWEST)
    products, before, after, sizes = (values[used] for values in (products, before, after, sums.sizes))
    if not len(products):
        return used, np.ones(0), np.zeros(0, dtype=bool)
    factors = products / before
    error = np.sqrt(np.maximum(after - factors * products, 0) / before / (sizes - 1))
    deviation = np.abs(factors - 1)
    certainty = deviation / np.maximum(error, np.finfo(np.float32).eps)
    far = FAR.get(bits, FAR_OTHERS)
    wrong = ((factors > far) | (factors < 1 / far)) & (certainty > SURE)
    if bits not in FAR and np.median(certainty) > TYPICAL and np.median(deviation) > ALL_MOVED:
        wrong |= (deviation > ALL_MOVED) & (certainty > TYPICAL)
    return used, factors, wrong


def _pairs(A: Values, B: Values, factors: tuple[Floats, Floats] | None = None) -> Iterator[tuple[int, Floats, Floats]]:
    """Yield blocks of rows, A with factors of its rows and columns, and the number of the first row."""
    first = 0
    for before, after in zip(row_blocks(A), row_blocks(B), strict=True):
        a, b = before.astype(np.float64), after.astype(np.float64)
        yield first, a if factors is None else a * factors[0][first : first + len(a), None] * factors[1], b
        first += len(a)


def _sums(A: Values, B: Values, block: tuple[int, int], factors: tuple[Floats, Floats] | None = None) -> _BlockSums:
    height, width = block
    starts = np.arange(0, A.shape[1], width)
    sums = np.zeros((5, -(-A.shape[0] // height), len(starts)))
    for first, a, b in _pairs(A, B, factors):
        place = np.arange(first, first + len(a)) // height
        for total, x in zip(sums, (a, b, a * b, a * a, b * b), strict=True):
            np.add.at(total, place, np.add.reduceat(x, starts, axis=1))
    sizes = [np.minimum(step, size - np.arange(0, size, step)) for step, size in zip(block, A.shape, strict=True)]
    return _BlockSums(np.multiply.outer(*sizes).astype(np.float64), *sums)


def _factors(A: Values, B: Values) -> tuple[Floats, Floats]:
    """Return the factors of the rows and of the columns that bring A closest to B, found in turns."""
    rows, columns = np.ones(A.shape[0]), np.ones(A.shape[1])
    for _ in range(TURNS):
        pairs = [_along(a, b, 0) for _, a, b in _pairs(A, B, (rows, np.ones_like(columns)))]
        columns = _ratio(np.sum([pair[0] for pair in pairs], axis=0), np.sum([pair[1] for pair in pairs], axis=0))
        pairs = [_along(a, b, 1) for _, a, b in _pairs(A, B, (np.ones_like(rows), columns))]
        rows = np.concatenate([_ratio(products, before) for products, before in pairs])
    return rows, columns


def _along(a: Floats, b: Floats, axis: int) -> tuple[Floats, Floats]:
    return (a * b).sum(axis), (a * a).sum(axis)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
