"""What every source is turned into: named tensors, then stacks of matrices, described first and read later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NamedTensor", "Read", "WeightMatrix", "Weights"]

Read = Callable[[], NDArray[np.floating[Any]]]  # picklable, so that another process can read what it is to measure


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


@dataclass(frozen=True)
class WeightMatrix:
    """A layer's weights as a stack of ``k`` matrices of shape ``(N, M)``, ``N >= M``.

    Attributes
    ----------
    name : str
        Full dotted path of the module, e.g. ``layer1.0.conv1``; of a part of a fused tensor, that and the
        part: ``attn.qkv.q``.
    layer_type : str
        ``dense``, ``embedding``, ``conv1d``, ``conv2d``, ``conv3d``, ``lora`` and what else a module says.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    read : callable
        Returns the stack, shape ``(k, N, M)``, unscaled; of a product of thin factors a smaller matrix with
        the same singular values, shape ``(1, rank, rank)``. Never to be written to.
    scale : float
        Factor on the elements; sqrt(1/2) for two-dimensional convolutions, as in WeightWatcher.
    rank : int or None
        Largest rank that the matrix can have, where it is a product of thin factors.
    transposed : bool
        Whether the rows of the stack are the columns of the stored matrices.
    """

    name: str
    layer_type: str
    k: int
    N: int
    M: int
    read: Read
    scale: float = 1.0
    rank: int | None = None
    transposed: bool = False

    @property
    def num_evals(self) -> int:
        """Number of eigenvalues that the layer's pooled spectrum holds."""
        return self.k * (self.M if self.rank is None else self.rank)

    @property
    def operations(self) -> float:
        """Floating-point operations of forming the Gram matrices and finding their eigenvalues."""
        return self.k * (self.N + 4 / 3 * self.M) * self.M**2


@dataclass(frozen=True)
class Weights:
    """What a source holds, in its own order.

    Attributes
    ----------
    matrices : tuple of WeightMatrix
        One for each weight matrix.
    skipped : tuple of (str, str)
        What was left out, and the reason.
    vectors : tuple of (int, NamedTensor)
        Biases, scales and running statistics, each with the number of matrices that stand before it.
    """

    matrices: tuple[WeightMatrix, ...]
    skipped: tuple[tuple[str, str], ...]
    vectors: tuple[tuple[int, NamedTensor], ...] = ()
