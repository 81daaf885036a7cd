"""`neighbourhoods`: whether what a layer has learned is shared with the layers beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.null import count_evened_spikes, even_norms, normal_scores

if TYPE_CHECKING:
    from wwopt.alignment.connected_layers import ConnectedLayers
    from wwopt.alignment.oriented import Oriented
    from wwopt.alignment.spaces import Space
    from wwopt.arrays import Floats, Values
    from wwopt.weights import WeightMatrix

__all__ = ["Neighbourhood", "neighbourhoods"]

ERRORS = 3.0  # standard errors that are taken off a correlation
NARROWEST = 16  # space of which the correlation says something
SUSPECT = 0.7  # correlation from which on the weak directions are compared too


@dataclass(frozen=True)
class Neighbourhood:
    """What the evened weights of a layer and those beside it show.

    Attributes
    ----------
    evened_spikes : int
        Eigenvalues beyond those of noise.
    neighbour_correlation : float
        Correlation of what is written into a space with what reads it, of the off-diagonal elements of their Gram
        matrices, less three standard errors of that of noise and at least 0: 0 for independent layers, less than 1. The
        largest of the layer's spaces; NaN where none is known.
    weak_overlap : float
        Overlap of the weaker half of the directions in which a space is written with the weaker half of those in
        which it is read: 0 by chance, 1 at most. NaN for correlations below 0.7, which leave little room for it.
    """

    evened_spikes: int
    neighbour_correlation: float = float("nan")
    weak_overlap: float = float("nan")


@dataclass
class _SpaceGrams:
    """Gram matrices of what is written into a space and of what reads it, summed over the layers."""

    width: int
    maps: bool
    members: set[str] = field(default_factory=set)
    written: Floats | float = 0.0
    read: Floats | float = 0.0

    def compare(self) -> tuple[float, float]:
        """Correlation, and overlap of the weak directions."""
        A, B = (_normalised(np.asarray(gram)) for gram in (self.written, self.read))
        off = ~np.eye(self.width, dtype=bool)
        correlation = _correlation(A[off], B[off])
        error = np.sqrt(2 / (self.width * (self.width - 1)))
        overlap = _weak_overlap(A, B) if correlation >= SUSPECT else float("nan")
        return max(0.0, correlation - ERRORS * float(error)), overlap


def neighbourhoods(network: ConnectedLayers, matrices: Sequence[WeightMatrix]) -> dict[str, Neighbourhood]:
    """Even out each layer, count what stands out of noise, and compare neighbours.

    The numbers do not change when a row or a column of a layer is multiplied by a number, nor do they depend on the
    distribution of independent elements. Training aligns the strong directions of neighbours and leaves the weak ones
    apart; layers that were constructed to fit are aligned in all.

    Parameters
    ----------
    network : ConnectedLayers
        As `connect` returns it.
    matrices : sequence of WeightMatrix
        Layers whose spikes are counted.

    Returns
    -------
    dict of str to Neighbourhood
        For each of these layers that is finite and stored whole.
    """
    spaces = [found for space in network.wiring.spaces if (found := _grams(network, space)) is not None]
    wanted = {matrix.name: matrix for matrix in matrices if matrix.rank is None}
    layers = {name: network.layers[name].matrix for grams, *_ in spaces for name in grams.members} | wanted
    spikes = {}
    for name, matrix in layers.items():
        with np.errstate(invalid="ignore"):  # a NaN may signal when it is converted
            stack = np.asarray(matrix.read(), np.float64)
        if not np.isfinite(stack).all():
            continue
        evened = even_norms(stack, jointly=True)
        _add(spaces, name, evened)
        if name in wanted:
            alone = evened if len(stack) == 1 else even_norms(stack)
            spikes[name] = count_evened_spikes(normal_scores(alone))
    by_layer: dict[str, list[tuple[float, float]]] = {}
    for grams, *_ in spaces:
        if np.ndim(grams.written) and np.ndim(grams.read):
            compared = grams.compare()
            for name in grams.members:
                by_layer.setdefault(name, []).append(compared)
    return {
        name: Neighbourhood(count, *(np.fmax.reduce(by_layer[name]).tolist() if name in by_layer else ()))
        for name, count in spikes.items()
    }


def _grams(network: ConnectedLayers, space: Space) -> tuple[_SpaceGrams, list[Oriented], list[Oriented]] | None:
    writers, readers, width, maps = network.sides(space)
    if not readers or width < NARROWEST:
        return None
    names = {layer.matrix.name for layer in (*writers, *readers)}
    return _SpaceGrams(width, maps, names), writers, readers


def _add(
    spaces: Iterable[tuple[_SpaceGrams, Sequence[Oriented], Sequence[Oriented]]], name: str, evened: Values
) -> None:
    """Add a layer's Gram matrices to its spaces."""
    for grams, writers, readers in spaces:
        for layer in writers:
            if layer.matrix.name == name:
                F = _with_values(layer, evened).written()
                grams.written = grams.written + F @ F.T
        for layer in readers:
            if layer.matrix.name == name:
                G = _with_values(layer, evened).read(grams.width, maps=grams.maps)
                grams.read = grams.read + G @ G.T


def _with_values(layer: Oriented, stack: Values) -> Oriented:
    return replace(layer, matrix=replace(layer.matrix, read=lambda: stack))


def _normalised(gram: Floats) -> Floats:
    """Gram matrix of the rows divided by their norms."""
    norms = np.sqrt(np.maximum(gram.diagonal(), np.finfo(np.float64).tiny))
    normalised: Floats = gram / norms[:, None] / norms
    return normalised


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _weak_overlap(A: Floats, B: Floats) -> float:
    h = len(A)
    k = h // 2
    U, V = (np.linalg.eigh(gram)[1][:, :k] for gram in (A, B))
    overlap = float(np.linalg.norm(U.T @ V) ** 2) / k
    return (overlap - k / h) / (1 - k / h)
