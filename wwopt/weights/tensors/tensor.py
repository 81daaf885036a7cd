"""`NamedTensor`: a tensor of a source, described before it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wwopt.arrays import Values

if TYPE_CHECKING:
    from wwopt.weights.tensors.coding import Coding

__all__ = ["NamedTensor", "Read"]

Read = Callable[[], Values]  # picklable, so that another process can read its own layers


@dataclass(frozen=True)
class NamedTensor:
    """Tensor of a source, described before its values are read.

    Attributes
    ----------
    name : str
        Full dotted name, e.g. ``layer1.0.conv1.weight``.
    shape : tuple of int
        Shape of the tensor as stored.
    dtype : str
        Torch's name of the element type, e.g. ``float32``.
    read : callable
        Returns the values, often a view of the user's memory: must not be written to.
    layer_type : str or None
        Type of the layer that the module tells; None where the source holds tensors only.
    same_as : str or None
        Name of an earlier tensor that shares its memory.
    unusable : str or None
        Reason why it cannot be read, e.g. that it is on the meta device.
    buffer : bool
        Whether a module holds it beside its parameters: a statistic or a constant, never a layer.
    coding : Coding or None
        How it is stored, where it is quantised.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Read
    layer_type: str | None = None
    same_as: str | None = None
    unusable: str | None = None
    buffer: bool = False
    coding: Coding | None = None
