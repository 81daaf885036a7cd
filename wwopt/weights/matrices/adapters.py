"""Adapters in place: the weights of a PEFT model with its LoRA merged, layer by layer, when they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.tensors.adapted import PREFIX, WAY_OUT, AdaptedLayer
from wwopt.weights.tensors.dtypes import is_weight_dtype

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["Merged", "merge_adapters"]

Adapters = dict[str, dict[str, "NamedTensor"]]  # by adapter and factor
BASE = re.compile(r"(?P<layer>.*)\.base_layer\.(?P<leaf>.*)$")
FACTOR = re.compile(
    r"(?P<layer>.*)\.lora_(?:(embedding_)?(?P<factor>[AB])|(?P<magnitude>magnitude_vector))\.(?P<adapter>[^.]+)(\.weight)?$"
)
MAGNITUDE = "magnitude"
REPLACED = re.compile(r"(?P<layer>.*)\.(original_module|modules_to_save\.(?P<adapter>[^.]+))\.(?P<leaf>.*)$")
UNKNOWN_SCALE = "merged with a scale of 1, since tensors alone do not tell it; analyse the module for the true one"


@dataclass(frozen=True)
class Merged:
    """Weight ``W + sum scale B A``; of DoRA each row of it is scaled to its own length.

    Attributes
    ----------
    base : callable
        Reads W.
    factors : tuple of (callable, callable, float)
        Reads B and A of each adapter, and its scale.
    transposed : bool
        Whether W is stored as the transpose of ``B A``.
    magnitude : callable, optional
        Reads the lengths of the rows, of DoRA (Liu et al. 2024, arXiv 2402.09353, equation 5).
    """

    base: Read
    factors: tuple[tuple[Read, Read, float], ...]
    transposed: bool = False
    magnitude: Read | None = None

    def __call__(self) -> Values:
        """Return the weight, a copy in the base's type, at least float32."""
        base = self.base()
        merged: Values = base.astype(np.result_type(base, np.float32))
        for read_B, read_A, scale in self.factors:
            B, A = read_B().astype(merged.dtype), read_A().astype(merged.dtype)
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so
                change = B.reshape(len(B), -1) @ A.reshape(len(A), -1)
                merged += scale * (change.T if self.transposed else change).reshape(merged.shape)
        return merged if self.magnitude is None else self._with_lengths(merged, self.magnitude())

    def _with_lengths(self, merged: Values, magnitude: Values) -> Values:
        rows = merged.T if self.transposed else merged.reshape(len(merged), -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = magnitude.reshape(-1, 1).astype(merged.dtype) / np.linalg.norm(rows, axis=1, keepdims=True)
            turned: Values = (rows * factors).T if self.transposed else (rows * factors).reshape(merged.shape)
        return turned


def merge_adapters(
    tensors: Sequence[NamedTensor], adapted: Mapping[str, AdaptedLayer] | None
) -> tuple[list[NamedTensor], list[tuple[str, str]]]:
    """Replace the frozen weights of a PEFT model by those with its adapters; other tensors are passed on.

    Parameters
    ----------
    tensors : sequence of NamedTensor
        All tensors of the source.
    adapted : mapping of str to AdaptedLayer, optional
        What a module tells of its layers. None: a source of tensors alone, whose adapters are all taken as active.

    Returns
    -------
    list of NamedTensor
        By the names that they have in the model without PEFT.
    list of (str, str)
        Layers that were merged with a scale that is not known, and that remark.

    Raises
    ------
    ValueError
        An adapter is of a kind that cannot be merged.
    """
    bases = {match["layer"] for tensor in tensors if (match := BASE.match(tensor.name))}
    if not bases:
        return list(tensors), []
    factors: dict[str, Adapters] = {}
    kept: list[NamedTensor] = []
    for tensor in _in_use(tensors):
        match = FACTOR.match(tensor.name)
        if match is not None and match["layer"] in bases:
            part = match["factor"] or MAGNITUDE
            factors.setdefault(match["layer"], {}).setdefault(match["adapter"], {})[part] = tensor
        else:
            _check_known(tensor, bases)
            kept.append(tensor)
    merged = [_merged(tensor, factors, adapted) for tensor in kept]
    alone = {old.name: new.name for old, new in zip(kept, merged, strict=True) if not isinstance(new.read, Merged)}
    untied = [replace(tensor, same_as=alone.get(tensor.same_as or "")) for tensor in merged]
    guessed = [(_short(f"{layer}.lora_A"), UNKNOWN_SCALE) for layer in factors] if adapted is None else []
    return untied, guessed


def _check_known(tensor: NamedTensor, bases: Container[str]) -> None:
    """Check that a tensor is no part of an adapter that changes the weights in another way than LoRA."""
    parts = [] if BASE.match(tensor.name) else tensor.name.split(".")
    layer = next((name for end in range(1, len(parts)) if (name := ".".join(parts[:end])) in bases), None)
    if layer is not None:
        part = tensor.name.removeprefix(f"{layer}.")
        raise ValueError(
            f"{_short(layer)} is adapted by more than LoRA ({part}), which cannot be merged here. {WAY_OUT}."
        )


def _in_use(tensors: Sequence[NamedTensor]) -> list[NamedTensor]:
    """Put the copies that are trained in the place of the modules that PEFT replaced as a whole."""
    copies = {match["layer"] for tensor in tensors if (match := REPLACED.match(tensor.name)) and match["adapter"]}
    found = []
    for tensor in tensors:
        match = REPLACED.match(tensor.name)
        if match is None or match["layer"] not in copies:
            found.append(tensor)
        elif match["adapter"]:
            found.append(replace(tensor, name=f"{match['layer']}.{match['leaf']}"))
    return found


def _merged(
    tensor: NamedTensor, factors: Mapping[str, Adapters], adapted: Mapping[str, AdaptedLayer] | None
) -> NamedTensor:
    """Rename a tensor as it is called without PEFT; the weight of an adapted layer is also merged."""
    match = BASE.match(tensor.name)
    if match is None:
        return replace(tensor, name=_short(tensor.name))
    layer, leaf = match["layer"], match["leaf"]
    named = replace(tensor, name=_short(f"{layer}.{leaf}"))
    pairs = factors.get(layer, {})
    about = AdaptedLayer(dict.fromkeys(pairs, 1.0)) if adapted is None else adapted.get(layer, AdaptedLayer({}))
    active = {adapter: scale for adapter, scale in about.scales.items() if adapter in pairs}
    if leaf != "weight" or not active or tensor.unusable is not None:
        return named
    if not is_weight_dtype(tensor.dtype):
        return replace(named, unusable=f"a quantised base of dtype {tensor.dtype}, on which an adapter acts")
    products = [(pairs[adapter].get("B"), pairs[adapter].get("A"), scale) for adapter, scale in active.items()]
    shapes = {_product_shape(B, A) for B, A, _ in products}
    plain, turned = shapes == {tensor.shape}, shapes == {tensor.shape[::-1]}
    if not (plain or turned):
        raise ValueError(f"{_short(layer)} has factors of LoRA whose product is not of its shape. {WAY_OUT}.")
    readers = tuple((B.read, A.read, scale) for B, A, scale in products if B and A)
    read = Merged(
        tensor.read, readers, turned and (about.transposed or not plain), _lengths(layer, pairs, active, tensor)
    )
    return replace(named, read=read, dtype="float64" if tensor.dtype == "float64" else "float32")


def _lengths(layer: str, pairs: Adapters, active: Container[str], tensor: NamedTensor) -> Read | None:
    """Find the lengths of the rows that DoRA sets; None for LoRA."""
    lengths = [parts[MAGNITUDE] for name, parts in pairs.items() if name in active and MAGNITUDE in parts]
    if not lengths:
        return None
    sizes = [size for size in lengths[0].shape if size > 1]
    if len(lengths) > 1 or sizes not in ([tensor.shape[0]], [tensor.shape[-1]]):
        raise ValueError(f"{_short(layer)} is adapted by DoRA in a way that cannot be merged here. {WAY_OUT}.")
    return lengths[0].read


def _product_shape(B: NamedTensor | None, A: NamedTensor | None) -> tuple[int, ...] | None:
    """Shape of ``B A``, of which A may be a kernel; None where there is no such product."""
    if B is None or A is None or min(len(B.shape), len(A.shape)) < 2 or B.shape[1] != A.shape[0]:
        return None
    return None if math.prod(B.shape[2:]) > 1 else (B.shape[0], *A.shape[1:])


def _short(name: str) -> str:
    return name.removeprefix(PREFIX)
