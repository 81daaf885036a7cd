"""The thermometer: whether some networks agree with each other more than with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wwopt.consensus.vote import pairwise_kappas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["excess", "known_labels"]

BROAD = 0.6  # of the widest network's number of classes: a crowd that answers 2 of 10 agrees without being right


def known_labels(labels: Floats, agreements: Floats, pairs: Floats, sound: Flags) -> Floats:
    """Agreement of each network with the labels, beyond chance: at most what its loss says, and what it has in common.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        `label_kappa` of each network.
    agreements : ndarray, shape (n,)
        Agreement with the vote of the others.
    pairs : ndarray, shape (n, n)
        Agreement of each with each.
    sound : ndarray of bool, shape (n,)
        Which networks count.

    Returns
    -------
    ndarray, shape (n,)
        `labels`; of a network that agrees less with the vote than the one which knows its labels best, at least the
        agreement with that one. Networks early in their training are unsure of answers that are right, and their
        losses say too little of them.
    """
    best = int(np.argmax(np.where(sound, labels, -np.inf)))
    below = agreements < agreements[best]
    known = np.where(below, np.maximum(labels, pairs[:, best]), labels)
    known[best] = labels[best]
    return known


def excess(classes: NDArray[np.int64], known: Floats, agreements: Floats, voters: Flags, kin: Flags) -> float:
    """Largest agreement of two networks beyond what they know of their labels.

    Two networks that learned the same right labels agree about as much with each other as with those. Where labels are
    wrong at random, what networks learn of the rule behind them they have in common, and the labels contradict it.

    Parameters
    ----------
    classes : ndarray of int, shape (n, k)
        Answers.
    known : ndarray, shape (n,)
        Agreement with the labels, of `known_labels`.
    agreements : ndarray, shape (n,)
        Agreement with the vote of the others: a pair counts by the lesser of its two.
    voters : ndarray of bool, shape (n,)
        Which networks count: competent ones.
    kin : ndarray of bool, shape (n, n)
        Pairs that do not count: near-twins agree whatever they know.

    Returns
    -------
    float
        At most 1; -1 where no pair can be compared.
    """
    wide = np.array([_breadth(row) for row in classes])
    voters = voters & (wide >= BROAD * wide[voters].max(initial=0.0))
    pairs = pairwise_kappas(classes)
    beyond = (pairs - np.maximum(known[:, None], known[None, :])) * np.clip(
        np.minimum(agreements[:, None], agreements[None, :]), 0.0, 1.0
    )
    compared = voters[:, None] & voters[None, :] & ~kin
    chance = 1 - 1 / max(float(wide[voters].max(initial=1.0)), 1.5)
    return float(beyond[compared].max(initial=-1.0) * chance)


def _breadth(row: NDArray[np.int64]) -> float:
    """Number of classes that a network answers, as exp(entropy)."""
    counts = np.unique(row[row >= 0], return_counts=True)[1]
    shares = counts / max(counts.sum(), 1)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0
