"""Which layers write into a hidden space and which read from it: by the module's graph, or by order and shape."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import fx, nn

from wwopt.alignment.flow import NOWHERE, Flow, Writers
from wwopt.response.replica import replica

__all__ = ["Space", "spaces_by_graph", "spaces_by_order"]

LAST_OPERAND = {torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm", "__matmul__"}
ATTENTION = {nn.functional.scaled_dot_product_attention}
JOINING = {torch.cat, torch.concat, torch.concatenate, torch.hstack, torch.column_stack, torch.dstack}
WITH_WEIGHTS = {
    *(nn.functional.linear, nn.functional.embedding, nn.functional.bilinear),
    *(nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d),
    *(nn.functional.conv_transpose1d, nn.functional.conv_transpose2d, nn.functional.conv_transpose3d),
}
RECURRENT = re.compile(r"weight_(ih|hh)(?P<layer>_l\d+(_reverse)?)?(\.[a-z])?$")
NOT_READ_ON = ("query", "key", "q_proj", "k_proj", ".q", ".k", "wq", "wk")


@dataclass(frozen=True)
class Space:
    """A hidden space: the layers whose outputs are added up in it, and the layers that take it as their input."""

    writers: tuple[str, ...]
    readers: tuple[str, ...]


def spaces_by_graph(model: nn.Module) -> list[Space] | None:
    """Follow a module's forward pass symbolically; None where it cannot be traced.

    What is added (a shortcut, for example) is in the space of both; activations, norms, pooling and reshapes keep a
    space; attention passes on the space of its values.
    """
    try:
        runnable = replica(model)
        graph = fx.Tracer().trace(runnable)
    except Exception:  # noqa: BLE001  (a forward pass may do anything)
        return None
    modules = dict(runnable.named_modules())
    carried: dict[fx.Node, Writers] = {}
    flow = Flow()
    for node in graph.nodes:
        if node.op == "call_module":
            args = [_carried(value, carried) for value in node.args]
            kwargs = {name: _carried(value, carried) for name, value in node.kwargs.items()}
            carried[node] = flow.through(modules[str(node.target)], str(node.target), args, kwargs)
        else:
            carried[node] = _sources(node, carried)
    return _spaces(flow.edges)


def spaces_by_order(layers: Sequence[tuple[str, str, int, int]]) -> list[Space]:
    """Match each layer with the next one that takes as many inputs as it has outputs.

    Parameters
    ----------
    layers : sequence of (name, layer_type, outputs, inputs)
        In the order of the state dict; of a layer of unknown kind both numbers are 0, and nothing is matched with it.
    """
    stages = _stages([_Layer(*layer) for layer in layers])
    edges = [(writer, state) for stage in stages for state in stage.state for writer in stage.writers]
    edges += [
        (writer, reader)
        for first, second in itertools.pairwise(stages)
        if second.layer_type != "embedding" and first.outputs and second.inputs and second.inputs % first.outputs == 0
        if second.inputs == first.outputs or (first.layer_type != "dense" and second.layer_type == "dense")
        for reader in second.readers
        for writer in first.writers
    ]
    return _spaces(edges)


class _Layer(NamedTuple):
    name: str
    layer_type: str
    outputs: int
    inputs: int


@dataclass(frozen=True)
class _Stage:
    """Layers that act as one: gates, tables that are added up, queries and keys beside values.

    ``state`` are the gates of a recurrent layer that read what it wrote before.
    """

    layer_type: str
    outputs: int
    inputs: int
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    state: tuple[str, ...] = ()


def _stages(layers: Iterable[_Layer]) -> list[_Stage]:
    stages: list[_Stage] = []
    waiting: list[_Layer] = []  # queries and keys, until the values come
    for _, group in itertools.groupby((layer for layer in layers if "relative" not in layer.name), _together):
        first, *others = group
        if first.name.lower().endswith(NOT_READ_ON):
            waiting += [first, *others]
            continue
        if _is_depthwise(first) and stages and stages[-1].outputs == first.outputs:
            continue  # keeps channels apart, as a norm does
        beside = [layer.name for layer in waiting if layer.inputs == first.inputs]
        stages.append(_stage([first, *others], beside))
        waiting = []
    return stages


def _is_depthwise(layer: _Layer) -> bool:
    return layer.layer_type.startswith("conv") and layer.inputs == 1 < layer.outputs


def _together(layer: _Layer) -> object:
    """What the layers have in common that stand together: the recurrent layer of its gates, the width of tables."""
    if found := RECURRENT.search(layer.name):
        return f"{layer.name[: found.start()]}{found['layer'] or ''}"
    return ("embedding", layer.outputs) if layer.layer_type == "embedding" else (layer.name,)


def _stage(group: Sequence[_Layer], beside: Sequence[str]) -> _Stage:
    name, layer_type, outputs, inputs = group[0]
    names = tuple(layer.name for layer in group)
    if not RECURRENT.search(name):
        return _Stage(layer_type, outputs, inputs, names, (*beside, *names))
    state = tuple(gate for gate in names if "weight_hh" in gate)
    readers = tuple(gate for gate in names if gate not in state)
    if not state or not readers or "_reverse" in name:
        return _Stage(layer_type, 0, 0, names, names)
    return _Stage(layer_type, outputs, inputs, names, readers, state)


def _sources(node: fx.Node, carried: Mapping[fx.Node, Writers]) -> Writers:
    """Layers whose outputs a value carries: of attention those of the values, not those that only weight them."""
    if node.target is getattr or node.target == "size":
        return NOWHERE
    if node.target in WITH_WEIGHTS:  # what the weights read cannot be told from their names
        return NOWHERE
    if node.target in JOINING:
        parts = {part for part in _parts(node, carried) if part}
        return parts.pop() if len(parts) == 1 else NOWHERE  # side by side they are no one space
    if node.target in LAST_OPERAND:
        return _carried(node.args[-1:], carried)
    if node.target in ATTENTION:
        return _carried((*node.args[2:3], node.kwargs.get("value")), carried)
    return _carried(node.all_input_nodes, carried)


def _parts(node: fx.Node, carried: Mapping[fx.Node, Writers]) -> list[Writers]:
    """What each of the values carries that are put side by side."""
    joined = node.args[0] if node.args else node.kwargs.get("tensors", ())
    return [_carried(part, carried) for part in joined] if isinstance(joined, (list, tuple)) else []


def _carried(value: object, carried: Mapping[fx.Node, Writers]) -> Writers:
    """Layers whose outputs an argument carries: a value, or several."""
    if isinstance(value, (list, tuple)):
        return NOWHERE.union(*(_carried(part, carried) for part in value))
    return carried[value] if isinstance(value, fx.Node) else NOWHERE


def _spaces(edges: Iterable[tuple[str, str]]) -> list[Space]:
    """Join the edges that share a writer or a reader."""
    spaces: list[tuple[dict[str, None], dict[str, None]]] = []
    for writer, reader in edges:
        touched = [space for space in spaces if writer in space[0] or reader in space[1]]
        joined: tuple[dict[str, None], dict[str, None]] = ({}, {})
        for space in touched:
            joined[0].update(space[0])
            joined[1].update(space[1])
            spaces.remove(space)
        joined[0][writer] = None
        joined[1][reader] = None
        spaces.append(joined)
    return [Space(tuple(writers), tuple(readers)) for writers, readers in spaces]
