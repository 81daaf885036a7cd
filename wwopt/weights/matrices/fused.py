"""Fused tensors, which hold several matrices side by side, split into their parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wwopt.weights.tensors.names import leaf_of
from wwopt.weights.tensors.readers import First, Heads, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["GATES", "split"]

QKV = ("q", "k", "v")
SIDE_BY_SIDE = ("qkv_proj", "qkv", "Wqkv", "to_qkv", "W_pack", "c_attn", "attn_qkv")  # q, k, v one after the other
KEYS_VALUES = ("kv_proj", "kv", "Wkv", "to_kv")  # of attention to another sequence
OUTPUTS = ("o_proj", "out_proj", "proj", "dense", "c_proj", "attn_output")  # what reads the heads that q, k, v write
INTERLEAVED = ("gpt_neox", "gpt_neox_japanese", "bloom", "persimmon")  # each head keeps its q, k, v together
EXPERTS = ("expert", "moe", "_exps")  # in the name of a stack of them
RECURRENT = re.compile(r"weight_(ih|hh)(_l\d+(_reverse)?)?$")
KERAS = ("kernel", "recurrent_kernel")
KERAS_GATES = {"lstm": ("i", "f", "c", "o"), "gru": ("z", "r", "h"), "rnn": ("",)}  # as in files of Keras
GATES = {4: ("lstm", ("i", "f", "g", "o")), 3: ("gru", ("r", "z", "n")), 1: ("rnn", ("",))}  # by their number


@dataclass(frozen=True)
class _Part:
    """Part of a tensor: every ``step``-th index from ``start`` to ``stop`` along an axis."""

    name: str
    start: int
    stop: int
    step: int = 1


def split(  # noqa: PLR0911  (a rule a line)
    tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor], config: Mapping[str, Any]
) -> list[tuple[str, NamedTensor]]:
    """Split a fused tensor.

    Parameters
    ----------
    tensor : NamedTensor
        Any weight of two or more dimensions.
    name : str
        Name of its layer.
    others : mapping
        All tensors of the source by their layers' names; a neighbour's shape tells the sizes of the parts.
    config : mapping
        ``model_type`` and ``num_attention_heads``, where known.

    Returns
    -------
    list of (str, NamedTensor)
        The parts with their names; the tensor itself where it is not fused.
    """
    leaf = name.rpartition(".")[-1]
    if _is_experts(tensor, name):
        return [part for expert in _experts(tensor, name) for part in _gate_and_up(expert, leaf, name, others)]
    if len(tensor.shape) != 2:
        return [(name, tensor)]
    if leaf == "in_proj_weight":
        return _cut(name.removesuffix("_weight"), tensor, 0, _equal_parts(tensor.shape[0], QKV))
    if leaf in SIDE_BY_SIDE:
        return _queries_keys_values(tensor, name, others)
    if leaf in KEYS_VALUES:
        return _cut(name, tensor, 0, _equal_parts(tensor.shape[0], ("k", "v")))
    if leaf == "query_key_value":
        return _interleaved(tensor, name, config)
    if leaf == "gate_up_proj":
        return _cut(name, tensor, 0, _equal_parts(tensor.shape[0], ("gate", "up")))
    if RECURRENT.search(leaf):
        return _gates(tensor, name, others)
    if leaf_of(name) in KERAS:
        return _gates_of_keras(tensor, name, others)
    return [(name, tensor)]


def _cut(name: str, tensor: NamedTensor, axis: int, parts: list[_Part]) -> list[tuple[str, NamedTensor]]:
    if not parts:
        return [(name, tensor)]
    cut = []
    for part in parts:
        shape = list(tensor.shape)
        shape[axis] = len(range(part.start, part.stop, part.step))
        read = rows(tensor.read, axis, part.start, part.stop, part.step)
        cut.append((f"{name}.{part.name}" if part.name else name, replace(tensor, shape=tuple(shape), read=read)))
    return cut


def _equal_parts(size: int, names: tuple[str, ...]) -> list[_Part]:
    width, rest = divmod(size, len(names))
    return [] if rest else [_Part(name, i * width, (i + 1) * width) for i, name in enumerate(names)]


def _queries_keys_values(
    tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor]
) -> list[tuple[str, NamedTensor]]:
    """Cut q, k, v; with grouped queries k and v are smaller, which the output projection's width tells."""
    if tensor.shape[1] == 2 * tensor.shape[0] and name.endswith("crossattention.c_attn"):
        return _cut(name, tensor, 1, _equal_parts(tensor.shape[1], ("k", "v")))
    axis = 1 if tensor.shape[1] == 3 * tensor.shape[0] else 0
    size, width = tensor.shape[axis], tensor.shape[1 - axis]
    parent = name.rpartition(".")[0]
    output = next((others[key] for leaf in OUTPUTS if (key := f"{parent}.{leaf}" if parent else leaf) in others), None)
    queries = size // 3 if size == 3 * width or output is None else output.shape[-1]
    keys, rest = divmod(size - queries, 2)
    if rest or not 0 < keys <= queries:
        return [(name, tensor)]
    ends = (0, queries, queries + keys, size)
    return _cut(name, tensor, axis, [_Part(part, *ends[i : i + 2]) for i, part in enumerate(QKV)])


def _interleaved(tensor: NamedTensor, name: str, config: Mapping[str, Any]) -> list[tuple[str, NamedTensor]]:
    """Gather q, k, v from the heads, whose number only the model's configuration tells."""
    heads, kind = config.get("num_attention_heads") or config.get("n_head"), config.get("model_type")
    size = tensor.shape[0]
    if kind not in INTERLEAVED or not isinstance(heads, int) or heads < 1 or size % (3 * heads):
        return [(name, tensor)]
    shape = (size // 3, *tensor.shape[1:])
    return [
        (f"{name}.{part}", replace(tensor, shape=shape, read=Heads(tensor.read, heads, 3, i)))
        for i, part in enumerate(QKV)
    ]


def _gates(tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor]) -> list[tuple[str, NamedTensor]]:
    """Cut a recurrent weight into its gates; the hidden size is the width of its recurrent neighbour."""
    hidden_name = re.sub(r"weight_ih", "weight_hh", name)
    projection = others.get(re.sub(r"weight_[ih]h", "weight_hr", name))
    hidden = projection.shape[1] if projection else others.get(hidden_name, tensor).shape[-1]
    gates, rest = divmod(tensor.shape[0], max(hidden, 1))
    if rest or gates not in GATES:
        return [(name, tensor)]
    kind, names = GATES[gates]
    typed = replace(tensor, layer_type=kind)
    return _cut(name, typed, 0, _equal_parts(tensor.shape[0], names))


def _gates_of_keras(tensor: NamedTensor, name: str, others: Mapping[str, NamedTensor]) -> list[tuple[str, NamedTensor]]:
    """Cut a recurrent weight of Keras, which keeps its gates side by side, behind the inputs or the hidden units."""
    leaf = leaf_of(name)
    hidden = others.get(name[: name.rindex(leaf)] + "recurrent_kernel" + name[name.rindex(leaf) + len(leaf) :])
    if hidden is None or len(hidden.shape) != 2 or not hidden.shape[0]:
        return [(name, tensor)]
    gates, rest = divmod(tensor.shape[1], hidden.shape[0])
    if rest or gates not in GATES:
        return [(name, tensor)]
    kind, _ = GATES[gates]
    return _cut(name, replace(tensor, layer_type=kind), 1, _equal_parts(tensor.shape[1], KERAS_GATES[kind]))


def _is_experts(tensor: NamedTensor, name: str) -> bool:
    parts = name.lower().split(".")
    return len(tensor.shape) == 3 and tensor.layer_type is None and any(w in p for p in parts for w in EXPERTS)


def _experts(tensor: NamedTensor, name: str) -> list[tuple[str, NamedTensor]]:
    """Split a stack of experts: a matrix each, as where every expert is a module of its own."""
    return [
        (f"{name}.{i}", replace(tensor, shape=tensor.shape[1:], read=First(rows(tensor.read, 0, i, i + 1))))
        for i in range(tensor.shape[0])
    ]


def _gate_and_up(
    expert: tuple[str, NamedTensor], leaf: str, stack: str, others: Mapping[str, NamedTensor]
) -> list[tuple[str, NamedTensor]]:
    """Split an expert's fused gate and up projections, along the axis that the shape of `down_proj` tells."""
    name, tensor = expert
    down = others.get(f"{stack.removesuffix(leaf)}down_proj")
    if leaf != "gate_up_proj" or down is None:
        return [expert]
    axis = next((axis for axis in (1, 0) if tensor.shape[axis] % 2 == 0 and tensor.shape[axis] // 2 in down.shape[1:]
                 and tensor.shape[1 - axis] in down.shape[1:]), None)  # fmt: skip
    if axis is None:
        return [expert]
    size = tensor.shape[axis]
    if f"{stack}_bias" in others:  # gpt-oss, the one family that alternates them
        return _cut(name, tensor, axis, [_Part("gate", 0, size, 2), _Part("up", 1, size, 2)])
    return _cut(name, tensor, axis, _equal_parts(size, ("gate", "up")))
