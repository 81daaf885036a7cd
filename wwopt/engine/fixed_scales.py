"""`fix`: layers with the scales of their hidden units fixed, and what neighbours tell of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wwopt.alignment import ConnectedLayers, neighbourhoods

if TYPE_CHECKING:
    from wwopt.alignment import Neighbourhood
    from wwopt.engine.measured import Measured
    from wwopt.weights import WeightMatrix

__all__ = ["NOT_FIXED", "FixedScales", "fix"]

MEASURED = ("alpha", "num_pl_spikes", "stable_rank", "relative_rank", "trap_energy")  # columns of a layer that is fixed
PREFIX = "invariant_"
SUFFIX = " with fixed scales"  # of the name of a layer that is measured beside the one as it is


@dataclass(frozen=True)
class FixedScales:
    """Layers with fixed scales, to be measured beside those as they are.

    Attributes
    ----------
    matrices : tuple of WeightMatrix
        Under names of their own.
    sides : mapping of str to int
        For each layer the number of sides on which its scales are fixed; without an entry nothing was asked for.
    neighbourhoods : mapping of str to Neighbourhood
        For each layer.
    """

    matrices: tuple[WeightMatrix, ...] = ()
    sides: Mapping[str, int] = field(default_factory=dict)
    neighbourhoods: Mapping[str, Neighbourhood] = field(default_factory=dict)

    def columns(self, name: str, measured: Mapping[str, Measured]) -> dict[str, Any]:
        """Columns of a layer; those of the layer as it is where nothing is known of its neighbours."""
        if name not in self.sides:
            return {}
        numbers = measured.get(name + SUFFIX, measured[name]).numbers
        return {
            "invariant_sides": self.sides[name],
            **{PREFIX + column: numbers[column] for column in MEASURED if column in numbers},
            **(asdict(self.neighbourhoods[name]) if name in self.neighbourhoods else {}),
        }


NOT_FIXED = FixedScales()


def fix(network: ConnectedLayers, matrices: Sequence[WeightMatrix], *, randomize: bool) -> FixedScales:
    """Fix the scales of layers.

    Parameters
    ----------
    network : ConnectedLayers
        What is known of the spaces between the layers.
    matrices : sequence of WeightMatrix
        Layers to be measured.
    randomize : bool
        Whether they are compared with noise, and with their neighbours.
    """
    scales = {matrix.name: network.scales.get(matrix.name) for matrix in matrices}
    sides = {
        name: 0 if each is None else (each.outputs is not None) + (each.inputs is not None)
        for name, each in scales.items()
    }
    fixed = (network.scaled(network.layers[name]).matrix for name, count in sides.items() if count)
    return FixedScales(
        tuple(replace(matrix, name=matrix.name + SUFFIX) for matrix in fixed),
        sides,
        neighbourhoods(network, matrices) if randomize else {},
    )
