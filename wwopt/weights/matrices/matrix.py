"""`WeightMatrix`: a layer's weights as a stack of matrices, described before they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.weights.tensors.coding import Coding
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["WeightMatrix", "Weights"]


@dataclass(frozen=True)
class WeightMatrix:
    """A layer's weights as a stack of ``k`` matrices of shape ``(N, M)``, ``N >= M``.

    Attributes
    ----------
    name : str
        Full dotted path of the module, e.g. ``layer1.0.conv1``; of a part of a fused tensor, that and the
        part: ``attn.qkv.q``.
    layer_type : str
        ``dense``, ``embedding``, ``conv1d``, ``conv2d``, ``conv3d``, ``lora``, or another type that the module tells.
    k, N, M : int
        Number of matrices, and their longer and shorter side.
    read : callable
        Returns the stack, shape ``(k, N, M)``, unscaled; of a product of thin factors a smaller matrix with
        the same singular values, shape ``(1, rank, rank)``. Must not be written to.
    scale : float
        Factor on the elements; sqrt(1/2) for two-dimensional convolutions, as in WeightWatcher 0.7.7.
    rank : int or None
        Largest possible rank of a product of thin factors; None for a matrix that is stored whole.
    transposed : bool
        Whether the rows of the stack are the columns of the stored matrices.
    tensor : str
        Name of the tensor that holds it; empty where it is made of several.
    dtype : str
        Type of the elements, e.g. ``bfloat16``; of a quantised weight how it is stored.
    shape : tuple of int
        Shape of the tensor, or of the part of a fused one, as stored.
    coding : Coding or None
        How it is stored, where it is quantised.
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
    tensor: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    coding: Coding | None = None

    @property
    def parameters(self) -> int:
        """Number of weights; of a product of thin factors those of the factors."""
        return self.k * self.N * self.M if self.rank is None else self.rank * (self.N + self.k * self.M)

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
    """Weights of a source, in its own order.

    Attributes
    ----------
    matrices : tuple of WeightMatrix
        One for each weight matrix.
    skipped : tuple of (str, str)
        Names of the tensors that are left out, and the reasons.
    vectors : tuple of (int, NamedTensor)
        Biases, scales and running statistics, each with the number of matrices before it.
    rest : tuple of NamedTensor
        Other numbers that the network computes with: scalars, a module's buffers, and what has a shape of no layer.
    partial : tuple of WeightMatrix
        Adapters whose change only their base completes, as of DoRA; they are in ``skipped``, too.
    """

    matrices: tuple[WeightMatrix, ...]
    skipped: tuple[tuple[str, str], ...]
    vectors: tuple[tuple[int, NamedTensor], ...] = ()
    rest: tuple[NamedTensor, ...] = ()
    partial: tuple[WeightMatrix, ...] = ()
