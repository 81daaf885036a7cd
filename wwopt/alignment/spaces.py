"""`Wiring`: the hidden spaces of a network, each with the layers that write into it and those that read from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wwopt.arrays import Floats

__all__ = ["Gain", "Space", "Wiring", "join_edges", "norm_gain"]

Gain = Callable[[], "Floats"]  # returns a factor for each unit of a space


@dataclass(frozen=True)
class Space:
    """Hidden space of a network.

    Attributes
    ----------
    writers : tuple of str
        Layers whose outputs are added up in it.
    readers : tuple of str
        Layers that take it as their input.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Wiring:
    """What is known of a network's hidden spaces.

    Attributes
    ----------
    spaces : tuple of Space
        Spaces with their writers and readers.
    products : tuple of (str, str)
        Queries and keys, which are multiplied unit by unit.
    folds : tuple of (str, Gain)
        Layers whose outputs a batch norm scales, with its factors.
    gains : tuple of (str, Gain)
        Layers whose inputs a norm or a depthwise convolution has scaled, with the factors.
    """

    spaces: tuple[Space, ...] = ()
    products: tuple[tuple[str, str], ...] = ()
    folds: tuple[tuple[str, Gain], ...] = ()
    gains: tuple[tuple[str, Gain], ...] = ()


def norm_gain(weight: Floats, variance: Floats, eps: float) -> Floats:
    """Return the factors of a batch norm in evaluation; NaN where its variance is none or its shapes do not fit.

    Parameters
    ----------
    weight : ndarray of shape (units,) or (1,)
        Its learned gain.
    variance : ndarray of shape (units,)
        Its running variance.
    eps : float
        What it adds to the variance.

    Examples
    --------
    >>> norm_gain(np.ones(1), np.array([4.0, 0.25, -1.0]), 0.0)
    array([0.5, 2. , nan])
    """
    if weight.shape not in ((1,), variance.shape):
        return np.full(variance.shape, np.nan)
    usable = np.isfinite(variance) & (variance >= 0) & (variance + eps > 0)
    return np.divide(
        weight,
        np.sqrt(variance + eps, where=usable, out=np.ones_like(variance)),
        where=usable,
        out=np.full_like(variance, np.nan),
    )


def join_edges(edges: Iterable[tuple[str, str]]) -> list[Space]:
    """Join edges, each from a writer to a reader, that share a writer or a reader.

    Examples
    --------
    >>> join_edges([("a", "c"), ("b", "c"), ("c", "d")])
    [Space(writers=('a', 'b'), readers=('c',)), Space(writers=('c',), readers=('d',))]
    """
    spaces: list[tuple[dict[str, None], dict[str, None]]] = []
    for writer, reader in edges:
        touched = [space for space in spaces if writer in space[0] or reader in space[1]]
        joined: tuple[dict[str, None], dict[str, None]] = ({}, {})
        for space in touched:
            joined[0].update(space[0])
            joined[1].update(space[1])
            spaces.remove(space)
        joined[0][writer] = None
        joined[1][reader] = None
        spaces.append(joined)
    return [Space(tuple(writers), tuple(readers)) for writers, readers in spaces]
