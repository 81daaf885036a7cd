"""`Bundle`: a quantised weight's codes and the tensors beside them; `Restored`: the weight that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wwopt.weights.quantization.scaled import Numbers
from wwopt.weights.tensors.dtypes import ITEM_SIZES

if TYPE_CHECKING:
    from wwopt.weights.tensors.coding import Coding
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["Bundle", "Restored", "UnfitError", "block_size", "matrix_block", "numbers_of"]

NUMBERS = {dtype for dtype in ITEM_SIZES if not dtype.startswith("complex")}
USUAL_BLOCKS = (128, 64, 32, 16, 256, 512, 1024)


class UnfitError(Exception):
    """The tensors of a quantised weight do not fit each other, or one is missing; the reason to skip it."""


@dataclass(frozen=True)
class Restored:
    """A weight that quantised tensors stand for.

    Attributes
    ----------
    name : str
        Of the weight, as in the model before it was quantised.
    shape : tuple of int
        Its shape.
    read : callable
        Reads it.
    coding : Coding
        How it is stored.
    parts : mapping of str to str
        Names of the tensors beside the codes, and what they are.
    """

    name: str
    shape: tuple[int, ...]
    read: Read
    coding: Coding
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """Codes, and what else the source holds.

    Attributes
    ----------
    codes : NamedTensor
        The tensor that may hold the codes of a weight.
    others : mapping of str to NamedTensor
        All tensors of the source.
    settings : mapping
        How the model's configuration says that it was quantised; empty where there is none.
    """

    codes: NamedTensor
    others: Mapping[str, NamedTensor]
    settings: Mapping[str, Any]

    def stem(self, leaf: str) -> str | None:
        """Name of the codes without the last part of their name; None where that is another one."""
        name = self.codes.name
        return name.removesuffix(leaf) if name == leaf or name.endswith(f".{leaf}") else None

    def beside(self, *names: str) -> NamedTensor | None:
        """Find the first of some tensors that is there."""
        return next((self.others[name] for name in names if name in self.others), None)

    def need(self, name: str, what: str) -> NamedTensor:
        """Find a tensor that the codes mean nothing without.

        Raises
        ------
        UnfitError
            It is not there, or cannot be read.
        """
        tensor = self.others.get(name)
        if tensor is None:
            raise UnfitError(
                f"quantized, and without {what}: {name!r} is missing{self.place()}. Download the file again, or export "
                "the model with it"
            )
        return self.checked(tensor)

    def may(self, *names: str) -> NamedTensor | None:
        """Find the first of some tensors that belong to the codes where they are there.

        Raises
        ------
        UnfitError
            It cannot be read.
        """
        tensor = self.beside(*names)
        return None if tensor is None else self.checked(tensor)

    def checked(self, tensor: NamedTensor) -> NamedTensor:
        """Return a tensor that lies beside the codes, if it holds numbers that can be read.

        Raises
        ------
        UnfitError
            It does not.
        """
        reason = tensor.unusable or (None if tensor.dtype in NUMBERS else f"dtype {tensor.dtype}")
        if reason is not None:
            raise UnfitError(f"quantized, and {tensor.name!r} beside it{self.place()} cannot be read: {reason}")
        return tensor

    def place(self) -> str:
        """Return the name of the file that the codes are in, with a preposition; empty for weights in memory."""
        path = getattr(self.codes.read, "path", None)
        return f" in {path.name}" if path is not None else ""

    def setting(self, *names: str) -> Any:
        """Find the first of some settings that is told."""
        return next((self.settings[name] for name in names if self.settings.get(name) is not None), None)

    def whole(self, *names: str) -> int | None:
        """Find the first of some settings, where that is a whole number above 0."""
        value = self.setting(*names)
        return value if type(value) is int and value > 0 else None

    def unfit(self, tensor: NamedTensor, expected: str) -> UnfitError:
        """Make the error of a tensor whose shape does not fit the codes."""
        return UnfitError(
            f"quantized, and {tensor.name!r} of shape {tensor.shape} does not fit {self.codes.name!r} of shape "
            f"{self.codes.shape}{self.place()}: expected {expected}. Download the file again, or export the model again"
        )


def block_size(size: int, count: int, told: int | None = None) -> int | None:
    """Tell the size of a block from the number of blocks along an axis: the one told, a usual one, or the only one.

    Examples
    --------
    >>> block_size(576, 5), block_size(512, 512), block_size(100, 1), block_size(100, 60)
    (128, 1, 100, None)
    """
    if count in (1, size):
        return max(size // count, 1) if count else None
    if count < 1:
        return None
    usual = (told or 0, *USUAL_BLOCKS)
    return next(
        (block for block in usual if block and -(-size // block) == count), None if size % count else size // count
    )


def numbers_of(
    read: Read, shape: tuple[int, ...], weight: tuple[int, ...], told: tuple[int | None, ...] = ()
) -> Numbers | None:
    """Fit numbers, one for each block, to a weight: one for all, one for each of its first axes, or a grid of blocks.

    Returns
    -------
    Numbers or None
        None where they do not fit.

    Examples
    --------
    >>> numbers_of(lambda: 0, (4, 2), (512, 256)).blocks
    (128, 128)
    """
    if math.prod(shape) == 1:
        return Numbers(read, (1,) * len(weight), weight)
    if len(shape) < len(weight):
        shape = (*shape, *(1 for _ in weight[len(shape) :])) if shape == weight[: len(shape)] else shape
    if len(shape) != len(weight) or 0 in (*shape, *weight):
        return None
    told = told if len(told) == len(weight) else (None,) * len(weight)
    blocks = [block_size(*sizes) for sizes in zip(weight, shape, told, strict=True)]
    fitting = tuple(block for block in blocks if block is not None)
    if len(fitting) < len(weight) or not _is_grid(shape, weight, fitting):
        return None
    return Numbers(read, shape, fitting)


def _is_grid(shape: tuple[int, ...], weight: tuple[int, ...], blocks: tuple[int, ...]) -> bool:
    """Whether no block is a stripe over a whole side of a matrix, as where rows and columns were exchanged."""
    sides = list(zip(shape, weight, blocks, strict=True))[-2:]
    cut = [block for count, size, block in sides if 1 < count < size]
    return not cut or all(size <= max(cut) for count, size, _ in sides if count == 1)


def matrix_block(blocks: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a block in the matrix of a weight: of the last two axes of a stack, else of the first.

    >>> matrix_block((1, 64)), matrix_block((1, 128, 128)), matrix_block((1, 16, 3, 3)), matrix_block((64,))
    ((1, 64), (128, 128), (1, 0), (1, 64))
    """
    if len(blocks) == 1:
        return 1, blocks[0]
    return (blocks[-2], blocks[-1]) if len(blocks) < 4 else (blocks[0], 0)
