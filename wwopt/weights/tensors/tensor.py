"""`NamedTensor`: a tensor of a source, described before it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wwopt.arrays import Values

__all__ = ["NamedTensor", "Read"]

Read = Callable[[], Values]  # picklable, so that another process can read what it is to measure


@dataclass(frozen=True)
class NamedTensor:
    """A tensor of a source, before anybody has read it.

    Attributes
    ----------
    name : str
        Full dotted name, e.g. ``layer1.0.conv1.weight``.
    shape : tuple of int
        Shape of the tensor as stored.
    dtype : str
        Torch's name of the element type, e.g. ``float32``.
    read : callable
        Returns the values; often a view of memory that is not ours, so never to be written to.
    layer_type : str or None
        What the module says it is; None where the source holds tensors only.
    same_as : str or None
        Name of the tensor that this one shares its memory with.
    unusable : str or None
        Why it cannot be read, e.g. because it lives on the meta device.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Read
    layer_type: str | None = None
    same_as: str | None = None
    unusable: str | None = None
