"""`align`: the overlap between the directions in which layers write a hidden space and those in which it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from wwopt.text import join_names

if TYPE_CHECKING:
    from wwopt.alignment.connected_layers import ConnectedLayers
    from wwopt.alignment.spaces import Space
    from wwopt.arrays import Floats

__all__ = ["PAIR_COLUMNS", "align", "subspace_alignment"]

PAIR_COLUMNS = ("writers", "readers", "width", "k", "alignment")
SWEEPS = 3  # of the balancing
FEWEST_DIRECTIONS = 8
TINY = 1e-12  # norm of a dead unit over the largest


def align(network: ConnectedLayers) -> list[dict[str, object]]:
    """Measure the hidden spaces of a network whose writers and readers have matching shapes.

    Parameters
    ----------
    network : ConnectedLayers
        As `connect` returns it.

    Returns
    -------
    list of dict
        With `PAIR_COLUMNS`: the names of the writers and of the readers as `join_names` writes them, the width of the
        space, the number of directions compared, and the alignment: 0 for random layers, 1 where the subspaces are the
        same, NaN where values are not finite.

    Examples
    --------
    >>> import torch
    >>> from wwopt.alignment import connect
    >>> from wwopt.weights import open_weights
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
    >>> [(row["writers"], row["readers"], row["width"]) for row in align(connect(model, open_weights(model)))]
    [('0', '2', 96)]
    """
    last = next((layer for layer in reversed([*network.layers.values()]) if layer.matrix.layer_type == "dense"), None)
    rows = (_measure(network, space, last.outputs if last else 0) for space in network.wiring.spaces)
    return [row for row in rows if row is not None]


def _measure(network: ConnectedLayers, space: Space, outputs: int) -> dict[str, object] | None:
    writers, readers, width, maps = network.sides(space)
    k = min(max(outputs - 1, FEWEST_DIRECTIONS), width // 4)
    if not readers or k < 1:
        return None
    F = np.hstack([network.scaled(writer).written() for writer in writers])
    G = np.hstack([network.scaled(reader).read(width, maps=maps) for reader in readers])
    return {
        "writers": join_names(writer.matrix.name for writer in writers),
        "readers": join_names(reader.matrix.name for reader in readers),
        "width": width,
        "k": k,
        "alignment": subspace_alignment(F, G, k),
    }


def subspace_alignment(F: Floats, G: Floats, k: int) -> float:
    """Overlap of the leading ``k`` directions in which F writes with those in which G reads.

    Both are balanced first, so that the number does not change when a unit of a ReLU or a normalisation is rescaled.

    Parameters
    ----------
    F : array, shape (h, a)
        Weights of the writers, a row for each of the ``h`` units.
    G : array, shape (h, b)
        Weights of the readers, a row for each unit.
    k : int
        Number of directions, less than h.

    Returns
    -------
    float
        0 on average for random matrices, 1 for the same subspace; NaN where a value is not finite.

    Examples
    --------
    >>> F = np.random.default_rng(0).normal(size=(20, 3))
    >>> round(subspace_alignment(F, F, 3), 9)
    1.0
    """
    if not (np.isfinite(F).all() and np.isfinite(G).all()):
        return float("nan")
    h = len(F)
    F, G = _balanced(F, G)
    U, V = _leading(F, k), _leading(G, k)
    overlap = float(np.linalg.norm(U.T @ V) ** 2) / k
    return (overlap - k / h) / (1 - k / h)


def _balanced(F: Floats, G: Floats) -> tuple[Floats, Floats]:
    """Rescale the units, in `SWEEPS` steps, until the rows of F and G have the same norms; dead units become zero."""
    for _ in range(SWEEPS):
        f, g = np.linalg.norm(F, axis=1), np.linalg.norm(G, axis=1)
        alive = (f > TINY * f.max()) & (g > TINY * g.max())
        factor = np.sqrt(np.divide(g, f, out=np.zeros_like(f), where=alive))
        F = F * factor[:, None]
        G = G * np.divide(1.0, factor, out=np.zeros_like(factor), where=alive)[:, None]
    return F, G


def _leading(F: Floats, k: int) -> Floats:
    """Eigenvectors of FF' with the ``k`` largest eigenvalues, shape (h, k)."""
    h = len(F)
    vectors: Floats = linalg.eigh(F @ F.T, subset_by_index=(h - k, h - 1), check_finite=False)[1]
    return vectors
