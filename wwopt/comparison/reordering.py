"""Layers whose rows or columns are permuted: alone, or together with the layers that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.before_after import is_key, is_query, writes_rows
from wwopt.comparison.cause import Cause
from wwopt.comparison.permutations import Permutation, Reordering, find_reordering, same_permutation
from wwopt.weights import as_stored, stored_shape

if TYPE_CHECKING:
    from wwopt.comparison.before_after import Versions
    from wwopt.comparison.changes import Change
    from wwopt.comparison.thresholds import Thresholds

__all__ = ["find_reorderings", "is_transposed"]

THICK = 4  # elements of a row and of a column, at least


@dataclass(frozen=True)
class _Side:
    """A permuted axis of a layer, ``rows`` or ``columns``; ``writes`` where it is the axis of the outputs."""

    layer: str
    axis: str
    writes: bool
    permutation: Permutation


def find_reorderings(versions: Versions, thresholds: Thresholds) -> dict[str, Cause]:
    """Explain the permuted layers: those whose weights have moved while their spectrum has not."""
    found = {}
    for name, change in versions.changes.items():
        silent = change.spectrum <= thresholds.tolerance < change.distance
        if silent and change.remainder(None) > thresholds.tolerance:
            reordered = _find(versions, name)
            if reordered is not None:
                found[name] = reordered
    sides = [side for name, reordered in found.items() for side in _sides(versions, name, reordered)]
    causes = {name: _explain(name, sides, versions) for name in found}
    return {name: cause for name, cause in causes.items() if cause.harmless or not _is_thin(versions.changes[name])}


def _is_thin(change: Change) -> bool:
    """Whether a row or a column has so few elements that a match of their order says nothing by itself."""
    return change.size < THICK * max(len(change.before[0]), len(change.before[1]))


def is_transposed(versions: Versions, name: str, tolerance: float) -> bool:
    """Whether a square layer is the transpose of the reference's."""
    before, after = versions.pairs[name]
    if before.N != before.M:
        return False
    A, B = before.read(), after.read()
    difference = np.linalg.norm(B - A.swapaxes(1, 2), axis=(1, 2))
    return bool(np.linalg.norm(difference) <= tolerance * np.linalg.norm(A))


def _find(versions: Versions, name: str) -> Reordering | None:
    before, after = versions.pairs[name]
    return find_reordering(as_stored(before), as_stored(after), stored_shape(before)[1])


def _sides(versions: Versions, name: str, reordered: Reordering) -> list[_Side]:
    rows_write = writes_rows(versions.pairs[name][0])
    sides = []
    if reordered.rows is not None:
        sides.append(_Side(name, "rows", rows_write, reordered.rows))
    if reordered.columns is not None:
        sides.append(_Side(name, "columns", not rows_write, reordered.columns))
    return sides


def _explain(name: str, sides: list[_Side], versions: Versions) -> Cause:
    """Call a permutation harmless where another layer follows it on every axis, and the layer's bias as well."""
    partners: dict[str, None] = {}
    for side in (side for side in sides if side.layer == name):
        others = _followers(side, sides)
        if not others:
            return Cause("permuted", f"its {side.axis} are permuted and no other layer follows")
        if side.writes and not _bias_follows(versions, side):
            return Cause("permuted", f"its {side.axis} are permuted and its bias is not")
        partners |= dict.fromkeys(other.layer for other in others)
    return Cause("", f"units permuted together with {_listed(list(partners))}")


def _followers(side: _Side, sides: list[_Side]) -> list[_Side]:
    """Permuted axes of layers that read the units which this one writes, or vice versa, or of a query's key."""
    same = [
        other for other in sides if other.layer != side.layer and same_permutation(side.permutation, other.permutation)
    ]
    across = [other for other in same if side.writes != other.writes or side.axis != other.axis]
    if across or not side.writes or not all(is_query(one.layer) or is_key(one.layer) for one in (side, *same)):
        return across
    return [other for other in same if is_query(other.layer) != is_query(side.layer)]


def _bias_follows(versions: Versions, side: _Side) -> bool:
    vectors = versions.vectors(f"{side.layer}.bias")
    if vectors is None or len(vectors[0]) != len(side.permutation):
        return True
    before, after = vectors
    moved, stayed = np.linalg.norm(after - before[side.permutation]), np.linalg.norm(after - before)
    return bool(moved <= stayed)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
