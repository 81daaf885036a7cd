"""`subtract`: the change from a base model, layer by layer, without holding two models in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wwopt.weights.matrices.aligned_names import align_names
from wwopt.weights.tensors.readers import Difference

if TYPE_CHECKING:
    from wwopt.weights.matrices.matrix import WeightMatrix, Weights

__all__ = ["subtract"]


def subtract(weights: Weights, base: Weights) -> Weights:
    """Describe ``W - W_base`` for each layer that both have; the rest is listed in ``skipped``.

    Layers are matched by `align_names`, as by `wwopt.compare`.
    """
    base = align_names(weights, base).weights
    theirs = {matrix.name: matrix for matrix in base.matrices}
    reasons = [(matrix, _reason_to_skip(matrix, theirs.get(matrix.name))) for matrix in weights.matrices]
    differences = tuple(
        replace(matrix, read=Difference(matrix.read, theirs[matrix.name].read))
        for matrix, reason in reasons
        if reason is None
    )
    left_out = [(matrix.name, reason) for matrix, reason in reasons if reason is not None]
    ours = {matrix.name for matrix in weights.matrices} | {name for name, _ in weights.skipped}
    left_out += [(matrix.name, "only in the base model") for matrix in base.matrices if matrix.name not in ours]
    return replace(weights, matrices=differences, skipped=(*weights.skipped, *left_out))


def _reason_to_skip(matrix: WeightMatrix, base: WeightMatrix | None) -> str | None:
    if base is None:
        return "not in the base model"
    ours, theirs = (f"{m.k} of {m.N} x {m.M}" for m in (matrix, base))
    if ours != theirs:
        return f"{ours}, in the base model {theirs}"
    return "of low rank already" if matrix.rank is not None or base.rank is not None else None
