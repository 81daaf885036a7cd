"""`Update`: what an adapter adds to a layer, as thin factors, beside the layer's own weight where it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights import LowRank, Merged, Stacked, align_names, as_stored

if TYPE_CHECKING:
    from wwopt.arrays import Floats, Values
    from wwopt.weights import WeightMatrix, Weights

__all__ = ["Update", "updates_of"]

CONVOLUTION = math.sqrt(0.5)  # factor that the spectra of two-dimensional convolutions carry


@dataclass(frozen=True)
class Update:
    """Change ``left right`` of a layer's weight, shapes (outputs, r) and (r, inputs).

    Attributes
    ----------
    name : str
        Of the layer.
    left, right : array
        Factors, with the scale in the left one; the change itself and the identity where it is no product.
    given : int
        Rank that the adapter was given; 0 where it is no product.
    base : WeightMatrix or None
        The layer that is adapted, where it is known.
    weight : array or None
        The layer's own weight, shape (outputs, inputs), where it came with the adapter.
    """

    name: str
    left: Floats
    right: Floats
    given: int
    base: WeightMatrix | None = None
    weight: Floats | None = None

    @cached_property
    def decomposed(self) -> tuple[Floats, Floats, Floats]:
        """Singular vectors of the outputs, singular values, descending, and singular vectors of the inputs."""
        if not (np.isfinite(self.left).all() and np.isfinite(self.right).all()):
            return self.left[:, :0], np.full(max(self.given, 1), np.nan), self.right[:0]
        q, r = np.linalg.qr(self.left)
        p, s = np.linalg.qr(self.right.T)
        u, values, vt = np.linalg.svd(r @ s.T, full_matrices=False)
        return q @ u, values, vt @ p.T

    @property
    def product(self) -> Floats:
        """The change, shape (outputs, inputs)."""
        change: Floats = self.left @ self.right
        return change

    @property
    def original(self) -> Floats | None:
        """The layer's own weight, shape (outputs, inputs); None where it is not known, or of another shape."""
        if self.weight is not None:
            return self.weight
        if self.base is None:
            return None
        weight = as_stored(self.base).astype(np.float64)
        shape = (len(self.left), self.right.shape[1])
        return weight if weight.shape == shape else weight.T if weight.shape[::-1] == shape else None


def updates_of(adapter: Weights, base: Weights | None = None) -> dict[str, Update]:
    """Collect what an adapter changes, by layer.

    Parameters
    ----------
    adapter : Weights
        Of an adapter's folder, or of a model or state dict with its adapters in place, which also knows its base.
    base : Weights, optional
        Of the model that is adapted; its layers are matched by `align_names`.
    """
    whole = replace(adapter, matrices=(*adapter.matrices, *adapter.partial))
    layers = {} if base is None else {m.name: m for m in align_names(whole, base).weights.matrices}
    found = {matrix.name: _update(matrix, layers) for matrix in (*adapter.matrices, *adapter.partial)}
    return {name: update for name, update in found.items() if update is not None}


def _update(matrix: WeightMatrix, base: Mapping[str, WeightMatrix]) -> Update | None:
    if isinstance(matrix.read, LowRank):
        B, A = (factor().astype(np.float64) for factor in (matrix.read.B, matrix.read.A))
        scale = matrix.scale / (CONVOLUTION if A.ndim == 4 else 1.0)
        left, right = scale * B.reshape(len(B), -1), A.reshape(len(A), -1)
        product = Update(matrix.name, left, right, len(A), base.get(matrix.name))
        return product if matrix.read.magnitude is None else _of_dora(product, matrix.read.magnitude())
    merged = matrix.read.read if isinstance(matrix.read, Stacked) else None
    if not isinstance(merged, Merged):
        return None
    weight = merged.base().astype(np.float64)
    flat = weight.T if merged.transposed else weight.reshape(len(weight), -1)
    if merged.magnitude is not None:
        whole = merged().astype(np.float64)
        change = (whole.T if merged.transposed else whole.reshape(len(whole), -1)) - flat
        return Update(matrix.name, change, np.eye(change.shape[1]), 0, weight=flat)
    factors = [(scale * B().astype(np.float64), A().astype(np.float64)) for B, A, scale in merged.factors]
    left = np.concatenate([B.reshape(len(B), -1) for B, _ in factors], axis=1)
    right = np.concatenate([A.reshape(len(A), -1) for _, A in factors])
    return Update(matrix.name, left, right, len(right), weight=flat)


def _of_dora(product: Update, lengths: Values) -> Update | None:
    """Complete the change of DoRA by the weight that it is trained on (arXiv 2402.09353, equation 5); None without."""
    original = product.original
    if original is None or lengths.size != len(original):
        return None
    merged = original + product.product
    factors = lengths.reshape(-1, 1).astype(np.float64) / np.linalg.norm(merged, axis=1, keepdims=True)
    return replace(product, left=merged * factors - original, right=np.eye(original.shape[1]), given=0)
