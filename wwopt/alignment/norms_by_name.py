"""Batch norms and products of attention in a network without a graph, found by names and order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.alignment.spaces import norm_gain

if TYPE_CHECKING:
    from wwopt.alignment.oriented import Oriented
    from wwopt.alignment.spaces import Gain
    from wwopt.arrays import Floats
    from wwopt.weights import NamedTensor, WeightMatrix, Weights

__all__ = ["folds_by_name", "products_by_name"]

EPS = 1e-5  # of a batch norm, where only its tensors are known
VARIANCE = ".running_var"
NORM_NAME = re.compile(r"(bn|norm|batch_?norm)(?=\d*$)")
KEYS = {"q": "k", "query": "key", "q_proj": "k_proj", "q_lin": "k_lin", "wq": "wk"}


@dataclass(frozen=True)
class _StoredGain:
    """Factor by which a batch norm in evaluation multiplies each unit."""

    variance: NamedTensor
    weight: NamedTensor | None

    def __call__(self) -> Floats:
        gain = np.ones(1) if self.weight is None else np.asarray(self.weight.read(), np.float64)
        return norm_gain(gain, np.asarray(self.variance.read(), np.float64), EPS)


def folds_by_name(weights: Weights, layers: Mapping[str, Oriented]) -> tuple[tuple[str, Gain], ...]:
    """Find the layer that each batch norm belongs to: by its name, else the one before it, where the widths agree.

    Examples
    --------
    >>> from wwopt.alignment.oriented import orient
    >>> from wwopt.weights import open_weights
    >>> shapes = {"bn1.weight": 8, "bn1.running_var": 8, "conv1.weight": (8, 3, 3, 3)}
    >>> weights = open_weights({name: np.ones(shape) for name, shape in shapes.items()})
    >>> [name for name, _ in folds_by_name(weights, orient(weights.matrices))]
    ['conv1']
    """
    tensors = {tensor.name: tensor for tensor in (*(each for _, each in weights.vectors), *weights.rest)}
    before = {tensor.name: place for place, tensor in weights.vectors}
    folds: dict[str, Gain] = {}
    for name in (name for name in tensors if name.endswith(VARIANCE)):
        norm, variance = name.removesuffix(VARIANCE), tensors[name]
        for layer in _candidates(norm, weights.matrices[: before.get(name, 0)]):
            if layer in layers and layer not in folds and (layers[layer].outputs,) == variance.shape:
                folds[layer] = _StoredGain(variance, tensors.get(f"{norm}.weight"))
                break
    return tuple(folds.items())


def _candidates(norm: str, before: Sequence[WeightMatrix]) -> list[str]:
    parent, dot, leaf = norm.rpartition(".")
    names = [f"{parent}{dot}{NORM_NAME.sub('conv', leaf)}"]
    if leaf.isdecimal() and int(leaf) > 0:
        names.append(f"{parent}{dot}{int(leaf) - 1}")
    return [*(name for name in names if name != norm), *(matrix.name for matrix in before[-1:])]


def products_by_name(layers: Mapping[str, Oriented]) -> tuple[tuple[str, str], ...]:
    """Pair queries with keys by their names, where they have one width.

    Examples
    --------
    >>> from wwopt.alignment.oriented import orient
    >>> from wwopt.weights import open_weights
    >>> weights = open_weights({f"attn.{part}_proj.weight": np.ones((8, 8)) for part in "qkv"})
    >>> products_by_name(orient(weights.matrices))
    (('attn.q_proj', 'attn.k_proj'),)
    """
    pairs = []
    for name, layer in layers.items():
        parent, dot, leaf = name.rpartition(".")
        keys = f"{parent}{dot}{KEYS.get(leaf.lower(), leaf)}"
        if keys != name and keys in layers and layers[keys].outputs == layer.outputs:
            pairs.append((name, keys))
    return tuple(pairs)
