"""`Versions`: a network before and after a change, with its layers, vectors and normalisations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights import stored_shape

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.comparison.changes import Change
    from wwopt.weights import WeightMatrix, Weights

__all__ = ["Versions", "is_key", "is_query", "read_vectors", "writes_rows"]

QUERY, KEY = ("query", "q_proj", ".q", "wq", "q_lin"), ("key", "k_proj", ".k", "wk", "k_lin")
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Versions:
    """Layers that a reference and a candidate share.

    Attributes
    ----------
    pairs : mapping of str to (WeightMatrix, WeightMatrix)
        Layers of the same shape and of full rank, by name.
    changes : mapping of str to Change
        Measured change of each pair.
    before, after : mapping of str to array
        Biases, gains and running statistics, by their tensors' names.
    positions : mapping of str to int
        Position of each layer, and for each vector the number of layers before it, in the reference.
    """

    pairs: Mapping[str, tuple[WeightMatrix, WeightMatrix]]
    changes: Mapping[str, Change]
    before: Mapping[str, Floats]
    after: Mapping[str, Floats]
    positions: Mapping[str, int]

    def vectors(self, name: str) -> tuple[Floats, Floats] | None:
        """Return both versions of a vector; None where one lacks it, or the lengths differ."""
        before, after = self.before.get(name), self.after.get(name)
        return None if before is None or after is None or before.shape != after.shape else (before, after)

    def norms(self) -> list[str]:
        """Return the names of the normalisations: owners of a gain or of running statistics that are no layer."""
        stems = {name.rpartition(".")[0] for name in self.before if name.endswith((".weight", *STATISTICS))}
        return sorted(stems - set(self.positions))

    def norm_after(self, layer: str) -> str | None:
        """Find the normalisation of a layer's output: by the number in its name, else by its position."""
        width, following = _outputs(self.pairs[layer][0]), self.positions[layer] + 1
        fitting = [stem for stem in self.norms() if self._gain_size(stem) == width]
        by_name = [stem for stem in fitting if _number(stem) and _number(stem) == _number(layer)]
        by_position = [
            stem
            for stem in fitting
            if self.positions.get(f"{stem}.weight") == following and stem.rpartition(".")[0] == layer.rpartition(".")[0]
        ]
        return next(iter(by_name + by_position), None)

    def _gain_size(self, stem: str) -> int:
        return len(self.before.get(f"{stem}.weight", ()))

    @property
    def has_attention(self) -> bool:
        """Whether the network has attention, that is, some layer is a query."""
        return any(is_query(name) for name in self.positions)


def read_vectors(weights: Weights) -> dict[str, Floats]:
    """Read all vectors of a source, which are small, by their tensors' names."""
    return {vector.name: np.asarray(vector.read(), dtype=np.float64) for _, vector in weights.vectors}


def writes_rows(matrix: WeightMatrix) -> bool:
    """Whether the rows of a layer are its outputs, judged by its type."""
    return matrix.layer_type != "embedding" and not matrix.layer_type.startswith("conv_transpose")


def is_query(layer: str) -> bool:
    """Whether a layer's name is that of a query."""
    return layer.lower().endswith(QUERY)


def is_key(layer: str) -> bool:
    """Whether a layer's name is that of a key."""
    return layer.lower().endswith(KEY)


def _outputs(matrix: WeightMatrix) -> int:
    rows, columns = stored_shape(matrix)
    return rows if writes_rows(matrix) else columns


def _number(name: str) -> tuple[str, str] | None:
    """Parent and final number of a name: conv2 and bn2 of one block belong together."""
    parent, _, leaf = name.rpartition(".")
    match = re.search(r"\D(\d+)$", leaf)
    return (parent, match[1]) if match else None
