"""Every way in: sources become a lazy stream of weight matrices."""

from wwopt.weights.difference import subtract
from wwopt.weights.matrix import NamedTensor, WeightMatrix, Weights
from wwopt.weights.memory import is_module
from wwopt.weights.sources import open_weights

__all__ = ["NamedTensor", "WeightMatrix", "Weights", "is_module", "open_weights", "subtract"]
