"""What was measured of a layer's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.weights import WeightMatrix

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """Numbers, status and spectrum of a stack of matrices, whatever the layer is called; what the cache keeps.

    Attributes
    ----------
    numbers : dict
        ``status``, ``warning`` and the metrics by name.
    evals : array of float64
        Eigenvalues, ascending.
    """

    numbers: dict[str, Any]
    evals: Floats

    def row(self, matrix: WeightMatrix) -> dict[str, Any]:
        """Row of ``Analysis.details`` for a layer with these weights."""
        return {
            "name": matrix.name,
            "layer_type": matrix.layer_type,
            "N": matrix.N,
            "M": matrix.M,
            "Q": matrix.N / matrix.M,
            "rf": matrix.k,
            "num_evals": matrix.num_evals,
            **self.numbers,
        }
