"""`as_stored`: a layer as the one matrix that its source stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt.weights.matrices.lora import LowRank

if TYPE_CHECKING:
    from wwopt.arrays import Values
    from wwopt.weights.matrices.matrix import WeightMatrix

__all__ = ["as_stored", "stored_shape"]


def stored_shape(matrix: WeightMatrix) -> tuple[int, int]:
    """Return rows and columns of a layer as the source stores them."""
    return (matrix.M, matrix.N) if matrix.transposed else (matrix.N, matrix.M)


def as_stored(matrix: WeightMatrix) -> Values:
    """Read a layer as one matrix (rows, columns * k), as the source stores it; of an adapter what it adds."""
    if isinstance(matrix.read, LowRank):
        return matrix.scale * matrix.read.product
    stack = matrix.read()
    stack = stack.swapaxes(1, 2) if matrix.transposed else stack
    flat: Values = stack[0] if len(stack) == 1 else stack.transpose(1, 2, 0).reshape(stack.shape[1], -1)
    return flat
