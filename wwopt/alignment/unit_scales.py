"""`fix_scales`: the scale of each hidden unit, moved from what reads it to what writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.alignment.connected_layers import ConnectedLayers
    from wwopt.alignment.oriented import Oriented
    from wwopt.alignment.spaces import Gain
    from wwopt.arrays import Floats

__all__ = ["Scales", "fix_scales"]

SWEEPS = 20  # at most; without loops as many as there are spaces in a row
CONVERGED = 1e-4  # largest change of a unit's scale against those of its space
DEAD = 1e-24  # squared norm of a dead unit over the largest
IN_MEMORY = 1 << 24  # squared elements that are kept between sweeps


@dataclass(frozen=True)
class Scales:
    """Factors on a layer's outputs and inputs that fix their scales; None where nothing is known of a side."""

    outputs: Floats | None
    inputs: Floats | None

    def factors(self, layer: Oriented) -> tuple[Floats, Floats]:
        """Factors on the rows and the columns of the layer's stack of matrices."""
        outputs = np.ones(layer.outputs) if self.outputs is None else self.outputs
        inputs = np.ones(layer.inputs) if self.inputs is None else self.inputs
        return (outputs, inputs) if layer.outputs_are_rows else (inputs, outputs)


@dataclass
class _LayerScales:
    """Squared elements of a layer, and the factors on its sides so far."""

    layer: Oriented
    outputs: Floats = field(init=False)
    inputs: Floats = field(init=False)
    known: set[str] = field(default_factory=set)
    kept: Floats | None = None

    def __post_init__(self) -> None:
        self.outputs, self.inputs = np.ones(self.layer.outputs), np.ones(self.layer.inputs)

    def squares(self) -> Floats:
        return self.layer.squares() if self.kept is None else self.kept

    def norms(self, side: str) -> Floats:
        """Squared norms of the units of a side."""
        if side == "outputs":
            return self.outputs**2 * (self.squares() @ self.inputs**2)
        return self.inputs**2 * (self.outputs**2 @ self.squares())

    def multiply(self, side: str, factors: Floats) -> None:
        setattr(self, side, getattr(self, side) * factors)
        self.known.add(side)


@dataclass(frozen=True)
class _UnitSide:
    """Side of a layer in a space; of flattened maps or positions each unit has several inputs."""

    layer: _LayerScales
    side: str
    width: int
    maps: bool = False

    def norms(self) -> Floats:
        each = self.layer.norms(self.side)
        summed: Floats = (
            each.reshape(self.width, -1).sum(axis=1) if self.maps else each.reshape(-1, self.width).sum(axis=0)
        )
        return summed

    def multiply(self, factors: Floats) -> None:
        times = len(getattr(self.layer, self.side)) // self.width
        self.layer.multiply(self.side, np.repeat(factors, times) if self.maps else np.tile(factors, times))


_Sides = tuple[list[_UnitSide], list[_UnitSide]]  # of the writers and of the readers of a space


def fix_scales(network: ConnectedLayers) -> dict[str, Scales]:
    """Find the factors that fold the norms into the layers and fix the scale of each hidden unit.

    A unit whose writers' weights are multiplied by a number and whose readers' are divided by it answers the same,
    where its activation is homogeneous, as ReLU's. Of all these networks the one is taken in which the weights that
    read a unit have the same norm as those of any other: what a unit counts for its readers is moved to what writes it.
    Where the search starts does not matter, nor do the scales of layers: each reader of a space counts the same. Keys
    are treated as the readers of queries. Dead units become zero on both sides.

    Parameters
    ----------
    network : ConnectedLayers
        Layers, and what is known of the spaces and the norms between them.

    Returns
    -------
    dict of str to Scales
        Of the layers of which anything is known.

    Notes
    -----
    Scores of networks that are fixed so order the tuning half of ``benchmarks/selection`` as those of the weights as
    they are (mean tau .49 and .49). With writers of the norm one it is .43, with both alike .46.
    """
    found = {name: _LayerScales(layer) for name, layer in network.layers.items()}
    _fold(network, network.wiring.folds, found, "outputs")
    _fold(network, network.wiring.gains, found, "inputs")
    spaces = [*_products(network, found), *reversed(_spaces(network, found))]
    _keep_squares(spaces)
    with np.errstate(invalid="ignore", over="ignore"):  # of layers that are not finite
        for _ in range(SWEEPS):
            if max([_fix(*space) for space in spaces], default=0.0) < CONVERGED:
                break
    return {
        name: Scales(*(getattr(layer, side) if side in layer.known else None for side in ("outputs", "inputs")))
        for name, layer in found.items()
        if layer.known
    }


def _fold(
    network: ConnectedLayers, gains: Iterable[tuple[str, Gain]], found: Mapping[str, _LayerScales], side: str
) -> None:
    """Multiply the units of a side by the gains of a norm; one over several axes only where they are flattened."""
    for name, gain in gains:
        of_axes = gain()
        factors = of_axes.ravel()
        for each in network.find(name, reads=side == "inputs"):
            layer = found[each.matrix.name]
            units = len(getattr(layer, side))
            fits = units % len(factors) == 0 if of_axes.ndim == 1 else units == len(factors)
            if fits and np.isfinite(factors).all():  # else of a norm that is broken or holds no values
                maps = each.matrix.layer_type == "dense"  # a flattened map
                times = units // len(factors)
                layer.multiply(side, np.repeat(factors, times) if maps else np.tile(factors, times))


def _spaces(
    network: ConnectedLayers, found: Mapping[str, _LayerScales]
) -> list[tuple[list[_UnitSide], list[_UnitSide]]]:
    spaces = []
    for space in network.wiring.spaces:
        writers, readers, width, maps = network.sides(space)
        if readers:
            up = [_UnitSide(found[writer.matrix.name], "outputs", width) for writer in writers]
            spaces.append((up, [_UnitSide(found[reader.matrix.name], "inputs", width, maps) for reader in readers]))
    return spaces


def _products(
    network: ConnectedLayers, found: Mapping[str, _LayerScales]
) -> list[tuple[list[_UnitSide], list[_UnitSide]]]:
    pairs = []
    for queries, keys in network.wiring.products:
        first, second = network.find(queries, reads=True), network.find(keys, reads=True)
        if len(first) == len(second) == 1 and first[0].outputs == second[0].outputs:
            sides = [_UnitSide(found[each[0].matrix.name], "outputs", first[0].outputs) for each in (first, second)]
            pairs.append((sides[:1], sides[1:]))
    return pairs


def _keep_squares(spaces: Sequence[_Sides]) -> None:
    """Keep the squared elements of networks that are not too large."""
    layers = {id(side.layer): side.layer for space in spaces for part in space for side in part}.values()
    if sum(layer.layer.outputs * layer.layer.inputs for layer in layers) <= IN_MEMORY:
        for layer in layers:
            layer.kept = layer.layer.squares()


def _fix(writers: Sequence[_UnitSide], readers: Sequence[_UnitSide]) -> float:
    """Fix the scales of one space; returns the largest change of a unit against the others."""
    up = np.sum([side.norms() for side in writers], axis=0)
    down = np.sum([_shares(side.norms()) for side in readers], axis=0)
    if not (np.isfinite(up).all() and np.isfinite(down).all()):
        return 0.0
    alive = (up > DEAD * up.max()) & (down > DEAD * down.max())
    if not alive.any():
        return 0.0
    factors = np.sqrt(down, out=np.zeros_like(down), where=alive)
    factors /= np.exp(np.mean(np.log(factors[alive])))
    for side in writers:
        side.multiply(factors)
    inverse = np.divide(1.0, factors, out=np.zeros_like(factors), where=alive)
    for side in readers:
        side.multiply(inverse)
    return float(np.abs(np.log(factors[alive])).max())


def _shares(norms: Floats) -> Floats:
    """Squared norms over their sum: a reader counts as much as any other, whatever its own scale."""
    total = norms.sum()
    return norms / total if total > 0 else norms
