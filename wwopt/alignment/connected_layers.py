"""`ConnectedLayers`: the layers of a network, and which of them write and read each hidden space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from wwopt.alignment.norms_by_name import folds_by_name, products_by_name
from wwopt.alignment.order import in_network_order
from wwopt.alignment.oriented import Oriented, orient
from wwopt.alignment.sequence import spaces_by_order
from wwopt.alignment.spaces import Wiring
from wwopt.alignment.unit_scales import Scales, fix_scales
from wwopt.weights import WithFactors, is_module

if TYPE_CHECKING:
    from wwopt.alignment.spaces import Space
    from wwopt.arrays import Floats
    from wwopt.weights import WeightMatrix, Weights

__all__ = ["ConnectedLayers", "connect"]

PARTS = ("v", "gate", "up")  # of a fused layer, whose outputs are passed on


@dataclass(frozen=True)
class ConnectedLayers:
    """Layers of a network with known axes, and what is known of the spaces between them.

    Attributes
    ----------
    layers : mapping of str to Oriented
        Layers by name.
    wiring : Wiring
        Which of them write and read each space.
    """

    layers: Mapping[str, Oriented]
    wiring: Wiring

    def find(self, name: str, *, reads: bool) -> list[Oriented]:
        """Return the layer of a name, or its parts where it is a fused layer."""
        if name in self.layers:
            return [self.layers[name]]
        parts = ("q", "k", *PARTS) if reads else PARTS
        return [self.layers[key] for part in parts if (key := f"{name}.{part}") in self.layers]

    def sides(self, space: Space) -> tuple[list[Oriented], list[Oriented], int, bool]:
        """Return the writers and the readers of a space that have its width, the width, and whether it is of maps."""
        writers = [layer for name in space.writers for layer in self.find(name, reads=False)]
        readers = [layer for name in space.readers for layer in self.find(name, reads=True)]
        widths = [writer.outputs for writer in writers]
        width = max(set(widths), key=widths.count) if widths else 0
        writers = [writer for writer in writers if writer.outputs == width]
        readers = [reader for reader in readers if width and reader.fits(width)]
        return writers, readers, width, all(writer.matrix.layer_type.startswith("conv") for writer in writers)

    @cached_property
    def scales(self) -> dict[str, Scales]:
        """Factors that fold the norms into the layers and fix the scale of each hidden unit; see `fix_scales`."""
        return fix_scales(self)

    def factors(self, name: str) -> tuple[Floats, Floats] | None:
        """Factors on the rows and the columns of a layer's stack that fix its scales; None where none are known."""
        return self.scales[name].factors(self.layers[name]) if name in self.scales else None

    def scaled(self, layer: Oriented) -> Oriented:
        """Return a layer with its scales fixed."""
        factors = self.factors(layer.matrix.name)
        if factors is None:
            return layer
        return replace(layer, matrix=replace(layer.matrix, read=WithFactors(layer.matrix.read, *factors)))


def connect(source: object, weights: Weights) -> ConnectedLayers:
    """Find which layers of a network write and read each hidden space.

    Parameters
    ----------
    source : object
        A `torch.nn.Module` is matched by its graph, where it can be traced; anything else by order and shape.
    weights : Weights
        The source's weights.
    """
    matrices: Sequence[WeightMatrix] = weights.matrices
    wiring = None
    if is_module(source):
        from wwopt.alignment.graph import wiring_by_graph  # noqa: PLC0415  (loads torch)

        wiring = wiring_by_graph(source)
    else:
        matrices = in_network_order(matrices)
    known = orient(matrices)
    return ConnectedLayers(known, _by_order(weights, matrices, known) if wiring is None else wiring)


def _by_order(weights: Weights, matrices: Sequence[WeightMatrix], known: Mapping[str, Oriented]) -> Wiring:
    sides = {name: (layer.outputs, layer.inputs) for name, layer in known.items()}
    return Wiring(
        spaces=tuple(spaces_by_order([(m.name, m.layer_type, *sides.get(m.name, (0, 0))) for m in matrices])),
        products=products_by_name(known),
        folds=folds_by_name(weights, known),
    )
