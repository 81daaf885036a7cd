"""What every source is turned into: named stacks of matrices, described first and read later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["NamedTensor", "WeightMatrix", "Weights"]


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
        Returns the tensor, on whatever device it lives.
    layer_type : str or None
        What the module says it is; None where the source holds tensors only.
    same_as : str or None
        Name of the tensor that this one shares its memory with.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], torch.Tensor]
    layer_type: str | None = None
    same_as: str | None = None


@dataclass(frozen=True)
class WeightMatrix:
    """A layer's weights as a stack of ``k`` matrices of shape ``(N, M)``, ``N >= M``.

    Attributes
    ----------
    name : str
        Full dotted path of the module, e.g. ``layer1.0.conv1``.
    layer_type : str
        ``dense``, ``embedding``, ``conv1d``, ``conv2d`` or ``conv3d``.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    read : callable
        Returns the stack, shape ``(k, N, M)``, unscaled, in the dtype in which it is stored.
    scale : float
        Factor on the elements; sqrt(1/2) for two-dimensional convolutions, as in WeightWatcher.
    """

    name: str
    layer_type: str
    k: int
    N: int
    M: int
    read: Callable[[], torch.Tensor]
    scale: float = 1.0

    @property
    def num_evals(self) -> int:
        """Number of eigenvalues that the layer's pooled spectrum holds."""
        return self.k * self.M


@dataclass(frozen=True)
class Weights:
    """The matrices of a source in its own order, and what was left out with the reason."""

    matrices: tuple[WeightMatrix, ...]
    skipped: tuple[tuple[str, str], ...]
