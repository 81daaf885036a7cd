"""Faults of tensors that are no layer of an analysis: values by which a network cannot be sound."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from wwopt.weights.matrices.matrix import WeightMatrix
from wwopt.weights.tensors.names import leaf_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["Fault", "find_faults"]

FaultKind = Literal["non-finite", "zero", "impossible"]

VARIANCES = ("running_var", "moving_variance", "running_variance")  # of PyTorch, Keras and others
COUNTS = ("num_batches_tracked",)
MASK = re.compile(r"mask", re.IGNORECASE)
RECORDS = re.compile(r"(^|_)(loss|acc|accuracy|metric|score|lr|step|epoch)(_|$)")  # a number beside the network
EXTREMES = re.compile(r"(^|_)(min|max|best|lowest|highest)(_|$)")  # a search for the least begins at infinity
HARMLESS_ZEROS = re.compile(r"embed|bias|lora_|hada_|mask", re.IGNORECASE)  # no layer, or one that may add nothing


@dataclass(frozen=True)
class Fault:
    """Values of a tensor that no sound network has.

    Attributes
    ----------
    name : str
        The tensor's, or that of the layer whose weight it is.
    kind : {"non-finite", "zero", "impossible"}
        NaN or infinity; a weight of zeros alone; a variance or a count below what it can be.
    count : int
        Number of such values.
    """

    name: str
    kind: FaultKind
    count: int


def find_faults(tensors: Iterable[NamedTensor | WeightMatrix]) -> list[Fault]:
    """Read tensors one after the other, each once, and list what is wrong with them.

    Not a fault: infinity in a mask, or where the least or greatest value is kept; a loss that a checkpoint records
    beside the network; a bias, an embedding or a factor of an adapter that is zero, as many are at first; a variance of
    zero in some channels, which are dead ones.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return [fault for tensor in tensors if (fault := _fault_of(tensor, tensor.read())) is not None]


def _fault_of(tensor: NamedTensor | WeightMatrix, values: Values) -> Fault | None:
    total = float(np.add.reduce(values, axis=None, dtype=np.float64))  # a pass without a copy
    if not math.isfinite(total) and (bad := _count_non_finite(tensor.name, values)):
        return Fault(tensor.name, "non-finite", bad)
    if not isinstance(tensor, WeightMatrix) and tensor.coding and not values.any():
        return Fault(tensor.name, "zero", values.size)
    if isinstance(tensor, WeightMatrix):
        dead = total == 0 and not values.any() and _is_weight(tensor)
        return Fault(tensor.name, "zero", values.size) if dead else None
    if tensor.name.endswith((*VARIANCES, *COUNTS)) and (bad := _count_impossible(tensor.name, values)):
        return Fault(tensor.name, "impossible", bad)
    return None


def _count_non_finite(name: str, values: Values) -> int:
    leaf = leaf_of(name)
    bad = ~np.isfinite(values)
    if not values.shape and RECORDS.search(leaf):
        return 0
    if EXTREMES.search(leaf):
        bad = np.isnan(values)
    elif MASK.search(leaf):
        bad &= values != -np.inf
    return int(np.count_nonzero(bad))


def _count_impossible(name: str, values: Values) -> int:
    below = int(np.count_nonzero(values < 0))
    return below if below or name.endswith(COUNTS) or values.any() else values.size


def _is_weight(matrix: WeightMatrix) -> bool:
    """Whether a matrix is what a layer multiplies by, and not a table or a factor."""
    leaf = leaf_of(matrix.tensor)
    named = "weight" in leaf or leaf.endswith("kernel")
    return named and matrix.layer_type != "embedding" and not HARMLESS_ZEROS.search(matrix.tensor)
