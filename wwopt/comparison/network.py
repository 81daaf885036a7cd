"""Two versions of a network side by side: the layers of both, their vectors and who stands where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.changes import stored_shape

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.comparison.changes import Change
    from wwopt.weights import WeightMatrix, Weights

__all__ = ["Versions", "is_key", "is_query", "read_vectors", "rename_as", "writes_rows"]

QUERY, KEY = ("query", "q_proj", ".q", "wq", "q_lin"), ("key", "k_proj", ".k", "wk", "k_lin")
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Versions:
    """The layers that a reference and a candidate share.

    Attributes
    ----------
    pairs : mapping of str to (WeightMatrix, WeightMatrix)
        Of one shape and of full rank.
    changes : mapping of str to Change
        Of each pair.
    before, after : mapping of str to array
        Biases, gains and running statistics, by their tensors' names.
    places : mapping of str to int
        Place of each layer, and for each vector the number of layers before it, in the reference.
    """

    pairs: Mapping[str, tuple[WeightMatrix, WeightMatrix]]
    changes: Mapping[str, Change]
    before: Mapping[str, Floats]
    after: Mapping[str, Floats]
    places: Mapping[str, int]

    def vectors(self, name: str) -> tuple[Floats, Floats] | None:
        """Both versions of a vector; None where one lacks it, or it has another length."""
        before, after = self.before.get(name), self.after.get(name)
        return None if before is None or after is None or before.shape != after.shape else (before, after)

    def norms(self) -> list[str]:
        """Stems of the normalisations: a gain or running statistics that belong to no layer."""
        stems = {name.rpartition(".")[0] for name in self.before if name.endswith((".weight", *STATISTICS))}
        return sorted(stems - set(self.places))

    def norm_behind(self, layer: str) -> str | None:
        """Find the normalisation that reads a layer's output at once: by the number in its name, else by its place."""
        width, place = _outputs(self.pairs[layer][0]), self.places[layer] + 1
        fitting = [stem for stem in self.norms() if self._gain_size(stem) == width]
        by_name = [stem for stem in fitting if _number(stem) and _number(stem) == _number(layer)]
        by_place = [
            stem
            for stem in fitting
            if self.places.get(f"{stem}.weight") == place and stem.rpartition(".")[0] == layer.rpartition(".")[0]
        ]
        return next(iter(by_name + by_place), None)

    def _gain_size(self, stem: str) -> int:
        return len(self.before.get(f"{stem}.weight", ()))

    @property
    def has_attention(self) -> bool:
        """Whether some layer is a query."""
        return any(is_query(name) for name in self.places)


def rename_as(before: Weights, after: Weights) -> tuple[Weights, tuple[str, str]]:
    """Give the candidate's tensors the reference's names where these differ by what they begin with.

    ``BertModel`` and ``BertForMaskedLM`` save the same layers as ``encoder...`` and ``bert.encoder...``.

    Returns
    -------
    tuple of (Weights, (str, str))
        The candidate, and the beginnings of names in the reference and in the candidate; empty where nothing differs.
    """
    ours, theirs = ([matrix.name for matrix in weights.matrices] for weights in (before, after))
    if set(ours) & set(theirs):
        return after, ("", "")
    ends = Counter(pair for first in ours for second in theirs if (pair := _beginnings(first, second)))
    (our, their), count = ends.most_common(1)[0] if ends else (("", ""), 0)
    if count < len(ours) / 2:
        return after, ("", "")
    return (
        replace(
            after,
            matrices=tuple(replace(m, name=our + m.name.removeprefix(their)) for m in after.matrices),
            vectors=tuple((i, replace(v, name=our + v.name.removeprefix(their))) for i, v in after.vectors),
        ),
        (our, their),
    )


def _beginnings(first: str, second: str) -> tuple[str, str] | None:
    """What two names begin with where one is the other behind a dotted prefix."""
    if second.endswith(f".{first}"):
        return "", second.removesuffix(first)
    return (first.removesuffix(second), "") if first.endswith(f".{second}") else None


def read_vectors(weights: Weights) -> dict[str, Floats]:
    """Read the vectors of a source, which are small."""
    return {vector.name: np.asarray(vector.read(), dtype=np.float64) for _, vector in weights.vectors}


def writes_rows(matrix: WeightMatrix) -> bool:
    """Whether the rows of a layer are its outputs, as far as its type tells."""
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
    """Parent and the number at the end: conv2 and bn2 of one block belong together."""
    parent, _, leaf = name.rpartition(".")
    match = re.search(r"\D(\d+)$", leaf)
    return (parent, match[1]) if match else None
