"""Architectures of networks: the same shapes, one family at several depths or widths, or nothing in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.weights import WeightMatrix

__all__ = ["Architecture", "architecture_of", "same_family", "same_shapes"]

SAME_PATTERNS = 0.5  # share of name patterns that two members of a family have in common
SAME_KINDS = 0.75  # share of kinds of layers
SAME_SHAPES = 0.5  # share of layers whose shape, or whose proportions, the other network has too


@dataclass(frozen=True)
class Architecture:
    """Names, kinds and shapes of a network's layers.

    Attributes
    ----------
    patterns : frozenset of str
        Names of the layers with their numbers left out; empty where the layers have no names.
    kinds : frozenset of (str, int)
        Types of layers, each with the number of elements of its kernel; 0 where that is not known.
    shapes : tuple of (int, int, int)
        Kernel elements, longer and shorter side of each layer.
    parameters : int
        Number of weights in all matrices.
    """

    patterns: frozenset[str]
    kinds: frozenset[tuple[str, int]]
    shapes: tuple[tuple[int, int, int], ...]
    parameters: int


def architecture_of(network: Analysis | Sequence[WeightMatrix]) -> Architecture:
    """Describe a network by its matrices, or by the layers of an analysis."""
    if isinstance(network, Sequence):
        layers = [(matrix.name, matrix.layer_type, matrix.k, matrix.N, matrix.M) for matrix in network]
    else:
        columns = network.details[["name", "layer_type", "rf", "N", "M"]]
        layers = list(columns.itertuples(index=False, name=None))
    return Architecture(
        patterns=frozenset(re.sub(r"\d+", "#", str(name)) for name, _, _, _, _ in layers if name),
        kinds=frozenset((str(kind), int(k)) for _, kind, k, _, _ in layers),
        shapes=tuple((int(k), int(N), int(M)) for _, _, k, N, M in layers),
        parameters=sum(max(int(k), 1) * int(N) * int(M) for _, _, k, N, M in layers),
    )


def same_shapes(networks: Sequence[Architecture]) -> bool:
    """Whether all networks have layers of the same shapes."""
    first = Counter(networks[0].shapes)
    return all(Counter(network.shapes) == first for network in networks[1:])


def same_family(networks: Sequence[Architecture]) -> bool:
    """Whether every network is related to the first, directly or through others."""
    reached, fresh = {0}, [0]
    while fresh:
        current = networks[fresh.pop()]
        near = [i for i, other in enumerate(networks) if i not in reached and _related(current, other)]
        reached.update(near)
        fresh += near
    return len(reached) == len(networks)


def _related(first: Architecture, second: Architecture) -> bool:
    """Whether two networks are made of the same kinds of layers, under like names or in like shapes."""
    if _common(first.kinds, second.kinds) < SAME_KINDS:
        return False
    if first.patterns and second.patterns:
        return _common(first.patterns, second.patterns) >= SAME_PATTERNS
    return any(
        (_covered(ours, theirs) + _covered(theirs, ours)) / 2 >= SAME_SHAPES
        for ours, theirs in ((first.shapes, second.shapes), (_proportions(first), _proportions(second)))
    )


def _common(first: frozenset[object], second: frozenset[object]) -> float:
    return len(first & second) / max(len(first | second), 1)


def _covered(ours: Iterable[object], theirs: Iterable[object]) -> float:
    known, ours = set(theirs), list(ours)
    return sum(shape in known for shape in ours) / max(len(ours), 1)


def _proportions(architecture: Architecture) -> list[tuple[int, float]]:
    return [(k, round(N / M, 1)) for k, N, M in architecture.shapes]
