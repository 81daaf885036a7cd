"""The vote of the networks, and how far each agrees with the vote of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.arrays import Flags, Floats

__all__ = ["explained_shares", "kappas", "pairwise_kappas", "vote_of_classes"]

TIE = 1e-9  # relative: sums of weights within it are equal


def kappas(classes: NDArray[np.int64], weights: Floats, kin: Flags) -> Floats:
    """Agreement of each network with the weighted vote of the others, beyond chance (Cohen's kappa, 1960).

    Parameters
    ----------
    classes : ndarray of int, shape (n, k)
        Class numbers, negative where there is no answer.
    weights : ndarray, shape (n,)
        Weight of each network's vote, at least 0.
    kin : ndarray of bool, shape (n, n)
        Whose votes do not count where a network is judged: its own, and those of its twins.

    Returns
    -------
    ndarray, shape (n,)
        (observed - expected agreement) / (1 - expected): at most 1, 0 by chance and where an answer is constant, and
        where there are no others. Where the vote is tied, it is shared by the tied classes.

    References
    ----------
    Cohen, Educational and Psychological Measurement 20(1), 1960.
    """
    local, names, table = _ballots(classes)
    inputs = np.arange(classes.shape[1])
    total = _counts(local, weights, names.shape[1])
    result = np.zeros(len(classes))
    size = len(table)
    for network in range(len(classes)):
        own = np.flatnonzero(kin[network])
        counts = total - _counts(local[own], weights[own], names.shape[1])
        vote = _shares(counts, weights.sum())
        asked = vote.sum(axis=1) > 0
        if not asked.any():
            continue
        mine = local[network]
        answered = asked & (mine >= 0)
        observed = vote[inputs[answered], mine[answered]].sum() / asked.sum()
        of_vote = np.bincount(names[asked].ravel(), weights=vote[asked].ravel(), minlength=size) / asked.sum()
        of_network = np.bincount(names[inputs[answered], mine[answered]], minlength=size) / asked.sum()
        expected = float(of_vote @ of_network)
        if expected < 1 - TIE:
            result[network] = (observed - expected) / (1 - expected)
    return result


def vote_of_classes(classes: NDArray[np.int64], weights: Floats) -> NDArray[np.int64]:
    """Return the class that the weighted vote gives each input, shape (k,); the first of tied ones, -1 without votes.

    Examples
    --------
    >>> vote_of_classes(np.array([[0, 1], [0, 2], [3, 2]]), np.array([1.0, 1.0, 1.5])).tolist()
    [0, 2]
    """
    local, names, table = _ballots(classes)
    shares = _shares(_counts(local, weights, names.shape[1]), weights.sum())
    winners = names[np.arange(len(names)), shares.argmax(axis=1)]
    return np.where(shares.sum(axis=1) > 0, table[winners], -1)


def pairwise_kappas(classes: NDArray[np.int64]) -> Floats:
    """Cohen's kappa of each network with each, shape (n, n): 0 with one whose answers are all alike.

    Examples
    --------
    >>> pairwise_kappas(np.array([[0, 1, 2, 2], [0, 1, 2, 0], [1, 1, 1, 1]])).round(2).tolist()
    [[1.0, 0.64, 0.0], [0.64, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    table, flat = np.unique(classes, return_inverse=True)
    places = flat.reshape(classes.shape)
    observed = np.stack([((classes == row) & (row >= 0)).mean(axis=1) for row in classes])
    shares = np.stack([np.bincount(row, minlength=len(table)) for row in places]) / classes.shape[1]
    shares[:, table < 0] = 0.0
    expected = shares @ shares.T
    defined = expected < 1 - TIE
    return np.where(defined, (observed - expected) / np.where(defined, 1 - expected, 1.0), 0.0)


def explained_shares(values: Floats, weights: Floats, kin: Flags) -> Floats:
    """Share of the others' weighted mean answer that each network explains.

    Parameters
    ----------
    values : ndarray, shape (n, k, d)
        Answers.
    weights, kin
        As `kappas` takes them.

    Returns
    -------
    ndarray, shape (n,)
        1 - squared distance to the others' mean / squared deviation of that from its own mean over the inputs: at
        most 1; 0 for a constant answer, where there are no others, and where all of them are constant.
    """
    flat = values.reshape(len(values), -1)
    table = np.where(kin, 0.0, weights[None, :])
    total = table.sum(axis=1, keepdims=True)
    means = ((table @ flat) / np.where(total > 0, total, 1.0)).reshape(values.shape)
    spread = np.square(means - means.mean(axis=1, keepdims=True)).sum(axis=(1, 2))
    far = np.square(values - means).sum(axis=(1, 2))
    known = (total[:, 0] > 0) & (spread > TIE * np.square(means).sum(axis=(1, 2)))
    return np.where(known, 1 - far / np.where(known, spread, 1.0), 0.0)


def _ballots(classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number the classes that are answered, input by input: no input has more of them than there are networks.

    Returns the numbers, shape (n, k), -1 without an answer; for each of them the place of its class among all that
    are answered anywhere, shape (k, most for one input); and those classes.
    """
    table, flat = np.unique(classes, return_inverse=True)
    everywhere = flat.reshape(classes.shape)
    ordered = np.sort(everywhere, axis=0)
    rank = np.concatenate([np.zeros_like(ordered[:1]), np.cumsum(np.diff(ordered, axis=0) > 0, axis=0)])
    local = np.take_along_axis(rank, np.argsort(np.argsort(everywhere, axis=0, kind="stable"), axis=0), axis=0)
    names = np.zeros((classes.shape[1], int(rank.max()) + 1), dtype=np.int64)
    names[np.arange(classes.shape[1])[None, :], rank] = ordered
    return np.where(classes < 0, -1, local), names, table


def _counts(local: NDArray[np.int64], weights: Floats, size: int) -> Floats:
    """Sum of the weights that each number of each input got, shape (k, size)."""
    inputs = local.shape[1]
    places = local + np.arange(inputs)[None, :] * size
    voted = (local >= 0) & (weights > 0)[:, None]
    spread = np.broadcast_to(weights[:, None], local.shape)
    sums = np.bincount(places[voted], weights=spread[voted], minlength=inputs * size)
    return sums.astype(np.float64).reshape(inputs, size)


def _shares(counts: Floats, total: float) -> Floats:
    """Share of each number in the vote: 1 for the one with the most weight, divided among ties; 0 without votes."""
    most = counts.max(axis=1, keepdims=True)
    tied = (counts >= most - TIE * total) & (most > TIE * total)
    return np.asarray(tied / np.maximum(tied.sum(axis=1, keepdims=True), 1))
