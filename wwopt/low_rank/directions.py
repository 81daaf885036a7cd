"""Directions of an adapter's change: how many it uses, which are new to the layer, which another adapter shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.low_rank.update import Update

__all__ = ["cosine", "effective_rank", "intruders", "overlap", "rank_holding"]

LEADING = 10  # singular vectors of the tuned weight that are looked at
SIMILAR = 0.5  # cosine to a singular vector of the original below which one is an intruder


def effective_rank(values: Floats) -> float:
    """Exponential of the entropy of the singular values, each as a share of their sum.

    References
    ----------
    Roy, Vetterli (2007), The effective rank, EUSIPCO.

    Examples
    --------
    >>> round(effective_rank(np.array([1.0, 1.0, 1.0, 0.0])), 6)
    3.0
    """
    total = float(values.sum())
    if not total > 0:
        return math.nan if math.isnan(total) else 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_holding(values: Floats, share: float) -> int:
    """Fewest directions that hold a share of the energy, the sum of the squared singular values.

    >>> rank_holding(np.array([3.0, 1.0, 0.5]), 0.9)
    2
    """
    energy = np.cumsum(np.square(values))
    if not (len(energy) and energy[-1] > 0):
        return 0
    return int(np.searchsorted(energy, share * energy[-1] * (1 - 1e-12)) + 1)


def intruders(original: Floats, change: Floats) -> int:
    """Count the leading left singular vectors of ``W + change`` that are like none of W.

    References
    ----------
    Shuttleworth et al. (2024), LoRA vs full fine-tuning: an illusion of equivalence, arXiv 2410.21228, algorithm 1:
    of the ten leading ones those whose cosine to each of W's singular vectors is below a threshold, here 0.5. They go
    with what a model forgets.

    Examples
    --------
    >>> W = np.diag(np.arange(1.0, 31.0))
    >>> intruders(W, 0 * W), intruders(W, 60 * np.ones((30, 1)) @ np.ones((1, 30)) / 30)
    (0, 1)
    """
    before, after = (np.linalg.eigh(W @ W.T)[1] for W in (original, original + change))
    rank = min(original.shape)
    likeness = np.abs(before[:, -rank:].T @ after[:, -min(LEADING, rank) :]).max(axis=0)
    return int(np.count_nonzero(likeness < SIMILAR))


def overlap(first: Update, second: Update) -> tuple[float, float]:
    """Share of two changes' output directions that they have in common, from 0 to 1, and what chance would give.

    The mean squared cosine of the principal angles between the directions that are used.
    """
    bases = []
    for update in (first, second):
        u, values, _ = update.decomposed
        bases.append(u[:, : rank_holding(values, 0.99)] if u.shape[1] else u)
    fewest = min(basis.shape[1] for basis in bases)
    if not fewest:
        return math.nan, math.nan
    common = float(np.square(bases[0].T @ bases[1]).sum()) / fewest
    return common, max(basis.shape[1] for basis in bases) / len(bases[0])


def cosine(first: Update, second: Update) -> float:
    """Cosine of the angle between two changes: 1 for the same, -1 for opposite ones, about 0 for unrelated ones."""
    product = float(np.sum((first.left.T @ second.left) * (first.right @ second.right.T)))
    sizes = [float(np.linalg.norm(update.decomposed[1])) for update in (first, second)]
    return product / (sizes[0] * sizes[1]) if sizes[0] * sizes[1] > 0 else math.nan
