"""Alignment of neighbouring layers: which layers write and read each hidden space, and how well they fit."""

from wwopt.alignment.connected_layers import ConnectedLayers, connect
from wwopt.alignment.neighbours import Neighbourhood, neighbourhoods
from wwopt.alignment.pairs import PAIR_COLUMNS, align, subspace_alignment

__all__ = [
    "PAIR_COLUMNS",
    "ConnectedLayers",
    "Neighbourhood",
    "align",
    "connect",
    "neighbourhoods",
    "subspace_alignment",
]
