"""Tensors whose axes lie as JAX, Keras and TensorFlow keep them, and tables of positions, turned as PyTorch's."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from wwopt.weights.tensors.names import WEIGHTS, leaf_of, parts_of
from wwopt.weights.tensors.readers import Reshaped, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["is_kernel", "joined"]

KERNEL = re.compile(r"(.*_)?kernel")  # of Flax and Keras: places, inputs, outputs
EITHER = ("w", "weights", "depthwise_weights")  # of Haiku and TF-Slim, and of modules of one's own
READS_HEADS = re.compile(r"out|output|attention_output|o|out_proj|o_proj")
WRITES_HEADS = re.compile(r"query|key|value|[qkv]|[qkv]_proj|qkv")
EXPERTS = re.compile(r"expert|moe", re.IGNORECASE)
BIASES = ("bias", "b", "biases")
QKV = ("q", "k", "v")


def is_kernel(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor's last two axes are the inputs and the outputs, and those before them the places of a kernel.

    >>> is_kernel("conv/kernel:0", (3, 3, 16, 64)), is_kernel("conv.w", (3, 3, 1, 64)), is_kernel("w", (64, 1, 3, 3))
    (True, True, False)
    """
    leaf = leaf_of(name)
    if KERNEL.fullmatch(leaf):
        return True
    return leaf in EITHER and len(shape) > 2 and shape[-2] * shape[-1] > shape[0] * shape[1]


def joined(tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor]) -> list[tuple[str, NamedTensor]]:
    """Join the axes of an attention's kernel, (inputs, heads, size), and those of a table of positions.

    Parameters
    ----------
    tensor : NamedTensor
        Of two or more dimensions.
    name : str
        Name of its layer.
    others : mapping of str to NamedTensor
        All tensors of the source by their names, joined by dots; a bias tells how many axes are outputs.

    Returns
    -------
    list of (str, NamedTensor)
        The tensor, or its parts where one axis counts queries, keys and values.
    """
    if tensor.layer_type is not None:
        return [(name, tensor)]
    if KERNEL.fullmatch(leaf_of(tensor.name)):
        return _attention(tensor, name, others)
    return [(name, _positions(tensor))]


def _attention(tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor]) -> list[tuple[str, NamedTensor]]:
    *owner, _ = parts_of(name)
    outputs = _number_of_outputs(tensor.shape, owner, others)
    inputs = len(tensor.shape) - outputs
    if outputs == 3 and tensor.shape[inputs] == len(QKV):
        parts = [replace(tensor, shape=(*tensor.shape[:inputs], 1, *tensor.shape[inputs + 1 :]),
                         read=rows(tensor.read, inputs, i, i + 1)) for i in range(len(QKV))]  # fmt: skip
        return [(f"{name}.{part}", _as_matrix(one, inputs)) for part, one in zip(QKV, parts, strict=True)]
    return [(name, _as_matrix(tensor, inputs) if outputs else tensor)]


def _number_of_outputs(shape: tuple[int, ...], owner: list[str], others: Mapping[str, NamedTensor]) -> int:
    """Tell how many of the last axes are outputs of an attention's kernel; 0 where it is none."""
    path = ".".join(owner)
    bias = next((others[key] for leaf in BIASES if (key := f"{path}.{leaf}" if path else leaf) in others), None)
    if bias is not None and 1 < len(bias.shape) < len(shape) and bias.shape == shape[-len(bias.shape) :]:
        return len(bias.shape)
    if len(shape) != 3 or not owner:
        return 0
    if WRITES_HEADS.fullmatch(owner[-1]) and bias is None:
        return 2
    siblings = (f"{'.'.join([*owner[:-1], leaf])}.kernel" for leaf in ("query", "q", "q_proj"))
    query = next((others[key] for key in siblings if key in others), None)
    reads = READS_HEADS.fullmatch(owner[-1]) and query is not None and query.shape[1:] == shape[:2]
    return 1 if reads else 0


def _as_matrix(tensor: NamedTensor, inputs: int) -> NamedTensor:
    shape = math.prod(tensor.shape[:inputs]), math.prod(tensor.shape[inputs:])
    return replace(tensor, shape=shape, read=Reshaped(tensor.read, shape))


def _positions(tensor: NamedTensor) -> NamedTensor:
    """Make a table of positions a matrix: without an axis for the batch, and the places of a grid one after the other.

    Only a parameter that is no layer's weight can be one.
    """
    shape = tensor.shape
    if WEIGHTS.fullmatch(leaf_of(tensor.name)) or EXPERTS.search(tensor.name):
        return tensor
    sizes = [size for size in shape if size > 1]
    if len(shape) == 3 and 1 in shape:
        sizes = list(shape)
        sizes.remove(1)
        table = (sizes[0], sizes[1])
    elif len(sizes) == 3 and "pos" in tensor.name.lower():
        features_first = sizes[1] == sizes[2] != sizes[0] or (sizes[0] != sizes[1] and sizes[0] > max(sizes[1:]))
        table = (sizes[0], sizes[1] * sizes[2]) if features_first else (sizes[0] * sizes[1], sizes[2])
    else:
        return tensor
    return replace(tensor, shape=table, read=Reshaped(tensor.read, table), layer_type="embedding")
