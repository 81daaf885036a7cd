"""Reparametrised weights, restored from their stored parts: weight norm, spectral norm and pruning."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["Pruned", "SpectralNorm", "WeightNorm", "restore_weights"]

STORED = re.compile(
    r"(?:(?P<owner>.*)\.)?(?:parametrizations\.(?P<new>\w+)\.(?P<role>original[01]?|0\._[uv]|0\.mask)"
    r"|(?P<old>weight\w*)_(?P<part>[gvu])|(?P<any>\w+)_(?P<kept>orig|mask))$"
)
ROLES = {"original0": "g", "original1": "v", "original": "orig", "0._u": "u", "0._v": "right", "0.mask": "mask"}


@dataclass(frozen=True)
class WeightNorm:
    """Weight ``g v / |v|``, the norm over all axes along which ``g`` has one element."""

    g: Read
    v: Read

    def __call__(self) -> Values:
        """Return the weight, a copy."""
        g, v = self.g(), self.v()
        axes = tuple(axis for axis, size in enumerate(g.shape) if size == 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight: Values = g * v / np.sqrt(np.sum(np.square(v, dtype=np.float64), axis=axes, keepdims=True))
        return weight


@dataclass(frozen=True)
class SpectralNorm:
    """Weight over ``u' W v``, its largest singular value by the last power iteration."""

    weight: Read
    u: Read
    v: Read

    def __call__(self) -> Values:
        """Return the weight, a copy."""
        weight, u, v = self.weight(), self.u().astype(np.float64), self.v().astype(np.float64)
        axis = next(axis for axis, size in enumerate(weight.shape) if size == len(u))
        matrix = np.moveaxis(weight, axis, 0).reshape(len(u), -1)
        normalized: Values = weight / (u @ (matrix @ v))
        return normalized


@dataclass(frozen=True)
class Pruned:
    """Weight times its mask."""

    weight: Read
    mask: Read

    def __call__(self) -> Values:
        """Return the weight, a copy; what is masked is zero, whatever it was."""
        weight = self.weight()
        pruned: Values = np.where(self.mask() != 0, weight * self.mask().astype(weight.dtype), 0).astype(weight.dtype)
        return pruned


def restore_weights(tensors: Iterable[NamedTensor]) -> list[NamedTensor]:
    """Replace the stored parts of each reparametrised weight by the weight; other tensors are passed on.

    A parametrisation that only the model's code can evaluate becomes an unusable tensor with that reason.
    """
    tensors = list(tensors)
    names = {tensor.name for tensor in tensors}
    plain: dict[str, NamedTensor] = {}
    stored: dict[str, dict[str, NamedTensor]] = {}
    for tensor in tensors:
        match = STORED.match(tensor.name)
        if match is None or (match["kept"] and not _is_of_pruning(match, names)):
            known = ".parametrizations." not in f".{tensor.name}"
            plain[tensor.name] = tensor if known else replace(tensor, unusable="belongs to a parametrization")
            continue
        owner = f"{match['owner']}." if match["owner"] else ""
        name = owner + (match["new"] or match["old"] or match["any"])
        role = ROLES[match["role"]] if match["role"] else match["part"] or match["kept"]
        stored.setdefault(name, {})[role] = tensor
        plain.setdefault(name, tensor)  # keeps its place in the order
    return [
        weight
        for name, tensor in plain.items()
        for weight in (_weight(name, stored[name]) if name in stored else [tensor])
    ]


def _is_of_pruning(match: re.Match[str], names: Container[str]) -> bool:
    """Whether a tensor and its mask belong together; of a weight without a mask the original is known all the same."""
    start = f"{match['owner']}.{match['any']}" if match["owner"] else match["any"]
    if match["kept"] == "orig" and match["any"].startswith("weight"):
        return True
    return f"{start}_orig" in names and f"{start}_mask" in names


def _weight(name: str, parts: dict[str, NamedTensor]) -> list[NamedTensor]:
    right = parts.get("right") or parts.get("v")
    if set(parts) == {"g", "v"}:
        return [replace(parts["v"], name=name, read=WeightNorm(parts["g"].read, parts["v"].read), same_as=None)]
    if "orig" in parts and "u" in parts and right:
        read = SpectralNorm(parts["orig"].read, parts["u"].read, right.read)
        return [replace(parts["orig"], name=name, read=read, same_as=None)]
    if set(parts) == {"orig", "mask"} and parts["orig"].shape == parts["mask"].shape:
        return [replace(parts["orig"], name=name, read=Pruned(parts["orig"].read, parts["mask"].read), same_as=None)]
    if "orig" in parts:
        reason = "parametrized; only the model's code knows the weight, so analyse the module itself"
        return [replace(parts["orig"], name=name, unusable=reason)]
    return list(parts.values())
