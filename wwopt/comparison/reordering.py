"""Layers whose rows or columns stand in another order: alone, or together with those that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.changes import as_stored, stored_shape
from wwopt.comparison.network import is_key, is_query, writes_rows
from wwopt.comparison.permutations import Order, Reordered, find_order, same_order

if TYPE_CHECKING:
    from wwopt.comparison.network import Versions
    from wwopt.comparison.thresholds import Thresholds

__all__ = ["Finding", "find_orders", "is_transposed"]


@dataclass(frozen=True)
class Finding:
    """What explains a change of a layer, and whether the network is the same function as before."""

    harmless: bool
    fault: str
    message: str


@dataclass(frozen=True)
class _Side:
    """An axis of a layer that stands in another order."""

    layer: str
    axis: str
    writes: bool
    order: Order


def find_orders(versions: Versions, thresholds: Thresholds) -> dict[str, Finding]:
    """Explain the layers whose spectrum has hardly moved while their weights have: is it another order, and whose."""
    found = {}
    for name, change in versions.changes.items():
        silent = change.spectrum <= thresholds.tolerance < change.distance
        if silent and change.remainder(None) > thresholds.tolerance:
            reordered = _find(versions, name)
            if reordered is not None:
                found[name] = reordered
    sides = [side for name, reordered in found.items() for side in _sides(versions, name, reordered)]
    return {name: _explain(name, sides, versions) for name in found}


def is_transposed(versions: Versions, name: str, tolerance: float) -> bool:
    """Whether a square layer is the reference's with inputs and outputs exchanged."""
    before, after = versions.pairs[name]
    if before.N != before.M:
        return False
    A, B = before.read(), after.read()
    difference = np.linalg.norm(B - A.swapaxes(1, 2), axis=(1, 2))
    return bool(np.linalg.norm(difference) <= tolerance * np.linalg.norm(A))


def _find(versions: Versions, name: str) -> Reordered | None:
    before, after = versions.pairs[name]
    return find_order(as_stored(before), as_stored(after), stored_shape(before)[1])


def _sides(versions: Versions, name: str, reordered: Reordered) -> list[_Side]:
    rows_write = writes_rows(versions.pairs[name][0])
    sides = []
    if reordered.rows is not None:
        sides.append(_Side(name, "rows", rows_write, reordered.rows))
    if reordered.columns is not None:
        sides.append(_Side(name, "columns", not rows_write, reordered.columns))
    return sides


def _explain(name: str, sides: list[_Side], versions: Versions) -> Finding:
    """Call a new order harmless where another layer follows it on every axis, and the layer's bias as well."""
    partners: dict[str, None] = {}
    for side in (side for side in sides if side.layer == name):
        others = _followers(side, sides)
        if not others:
            return Finding(False, "permuted", f"its {side.axis} are permuted and no other layer follows")
        if side.writes and not _bias_follows(versions, side):
            return Finding(False, "permuted", f"its {side.axis} are permuted and its bias is not")
        partners |= dict.fromkeys(other.layer for other in others)
    return Finding(True, "", f"units in another order, as in {_listed(list(partners))}")


def _followers(side: _Side, sides: list[_Side]) -> list[_Side]:
    """Layers that read the units which this one writes, or the other way round; a query and a key follow each other."""
    same = [other for other in sides if other.layer != side.layer and same_order(side.order, other.order)]
    across = [other for other in same if side.writes != other.writes or side.axis != other.axis]
    if across or not side.writes or not all(is_query(one.layer) or is_key(one.layer) for one in (side, *same)):
        return across
    return [other for other in same if is_query(other.layer) != is_query(side.layer)]


def _bias_follows(versions: Versions, side: _Side) -> bool:
    vectors = versions.vectors(f"{side.layer}.bias")
    if vectors is None or len(vectors[0]) != len(side.order):
        return True
    before, after = vectors
    moved, stayed = np.linalg.norm(after - before[side.order]), np.linalg.norm(after - before)
    return bool(moved <= stayed)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
