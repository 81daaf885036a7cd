"""Layers of a reference matched with those of a candidate, by name and shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.cause import Cause
from wwopt.weights import stored_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wwopt.weights import WeightMatrix, Weights

__all__ = ["Pair", "match_layers"]

Pair = tuple["WeightMatrix", "WeightMatrix"]


def match_layers(ours: Sequence[WeightMatrix], after: Weights) -> tuple[dict[str, Pair], dict[str, Cause]]:
    """Pair the reference's layers with the candidate's of the same name and shape.

    Quantised layers are kept with their outputs first, also those of GPT-2, whose inputs come first; they are turned.

    Returns
    -------
    tuple of (dict, dict)
        The pairs by name, and for each layer without a partner the cause.

    Raises
    ------
    ValueError
        No layer has a partner.
    """
    theirs = {matrix.name: matrix for matrix in after.matrices}
    reasons = dict(after.skipped)
    pairs, turned, unmatched = {}, {}, {}
    for matrix in ours:
        other = theirs.get(matrix.name)
        if other is None:
            unmatched[matrix.name] = _missing(reasons.get(matrix.name))
        elif (stored_shape(matrix), matrix.k) == (stored_shape(other), other.k):
            pairs[matrix.name] = (matrix, other)
        elif other.coding is not None and (stored_shape(matrix)[::-1], matrix.k) == (stored_shape(other), other.k):
            turned[matrix.name] = (matrix, _turned(other))
        else:
            unmatched[matrix.name] = _other_shape(matrix, other)
    if turned:  # square layers of such a network do not tell by their shape
        turned |= {name: (own, _turned(other)) for name, (own, other) in pairs.items() if _lies_across(own, other)}
        pairs = {matrix.name: pair for matrix in ours if (pair := (pairs | turned).get(matrix.name))}
    if not pairs:
        raise ValueError(_nothing_in_common(ours, after.matrices))
    return pairs, unmatched


def _turned(matrix: WeightMatrix) -> WeightMatrix:
    """Return a quantised layer with its inputs and outputs exchanged."""
    coding = matrix.coding and replace(matrix.coding, block=matrix.coding.block[::-1])
    return replace(matrix, transposed=not matrix.transposed, coding=coding)


def _lies_across(own: WeightMatrix, other: WeightMatrix) -> bool:
    """Whether a quantised square layer is closer to the reference's when its inputs and outputs are exchanged."""
    if other.coding is None or own.N != own.M or own.k != 1 or own.rank is not None or other.rank is not None:
        return False
    A, B = own.read()[0], other.read()[0]
    return bool(np.linalg.norm(B.T - A) < np.linalg.norm(B - A))


def _missing(reason: str | None) -> Cause:
    return Cause("missing", "missing" if reason is None else f"cannot be read: {reason}")


def _other_shape(matrix: WeightMatrix, other: WeightMatrix) -> Cause:
    before, after = (_shape(m) for m in (matrix, other))
    if stored_shape(matrix) == stored_shape(other)[::-1] and matrix.k == other.k:
        return Cause("transposed", f"inputs and outputs are exchanged: {before} became {after}")
    return Cause("shape", f"{after}, in the reference {before}")


def _shape(matrix: WeightMatrix) -> str:
    sizes = (*stored_shape(matrix), matrix.k) if matrix.k > 1 else stored_shape(matrix)
    return " x ".join(map(str, sizes))


def _nothing_in_common(ours: Sequence[WeightMatrix], theirs: Sequence[WeightMatrix]) -> str:
    before, after = (", ".join([matrix.name for matrix in matrices][:3]) or "none" for matrices in (ours, theirs))
    return (
        "The reference and the candidate have no layer of the same name and shape: "
        f"the layers are {before}, ... and {after}, ..."
    )
