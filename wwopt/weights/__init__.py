"""Every way in: sources become a lazy stream of weight matrices."""

from wwopt.weights.matrices.difference import subtract
from wwopt.weights.matrices.matrix import WeightMatrix, Weights
from wwopt.weights.open import open_weights
from wwopt.weights.tensors.memory import is_module
from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["NamedTensor", "WeightMatrix", "Weights", "is_module", "open_weights", "subtract"]
