"""Hidden spaces of a module, found by tracing its forward pass symbolically."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import fx, nn

from wwopt.alignment.flow import NO_WRITERS, Flow, Writers
from wwopt.alignment.spaces import join_edges
from wwopt.response.replica import replica

if TYPE_CHECKING:
    from wwopt.alignment.spaces import Space

__all__ = ["spaces_by_graph"]

LAST_OPERAND = {torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm", "__matmul__"}
ATTENTION = {nn.functional.scaled_dot_product_attention}
JOINING = {torch.cat, torch.concat, torch.concatenate, torch.hstack, torch.column_stack, torch.dstack}
WITH_WEIGHTS = {
    nn.functional.linear,
    nn.functional.embedding,
    nn.functional.bilinear,
    nn.functional.conv1d,
    nn.functional.conv2d,
    nn.functional.conv3d,
    nn.functional.conv_transpose1d,
    nn.functional.conv_transpose2d,
    nn.functional.conv_transpose3d,
}


def spaces_by_graph(model: nn.Module) -> list[Space] | None:
    """Find the hidden spaces of a module by tracing its forward pass; None where it cannot be traced.

    Values that are added, as at a shortcut, share a space; activations, norms, pooling and reshapes keep a space;
    attention passes on the space of its values.

    Examples
    --------
    >>> spaces_by_graph(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    [Space(writers=('0',), readers=('2',))]
    """
    if any(name.endswith(".base_layer") for name, _ in model.named_modules()):  # PEFT makes several modules of a layer
        return None
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
    return join_edges(flow.edges)


def _sources(node: fx.Node, carried: Mapping[fx.Node, Writers]) -> Writers:
    """Layers whose outputs a node carries; of attention those of its values, not of its queries and keys."""
    if node.target is getattr or node.target == "size":
        return NO_WRITERS
    if node.target in WITH_WEIGHTS:  # the weights are plain tensors, which no layer's name belongs to
        return NO_WRITERS
    if node.target in JOINING:
        parts = {part for part in _parts(node, carried) if part}
        return parts.pop() if len(parts) == 1 else NO_WRITERS  # concatenated they are not one space
    if node.target in LAST_OPERAND:
        return _carried(node.args[-1:], carried)
    if node.target in ATTENTION:
        return _carried((*node.args[2:3], node.kwargs.get("value")), carried)
    return _carried(node.all_input_nodes, carried)


def _parts(node: fx.Node, carried: Mapping[fx.Node, Writers]) -> list[Writers]:
    """Layers whose outputs each of the concatenated values carries."""
    joined = node.args[0] if node.args else node.kwargs.get("tensors", ())
    return [_carried(part, carried) for part in joined] if isinstance(joined, (list, tuple)) else []


def _carried(value: object, carried: Mapping[fx.Node, Writers]) -> Writers:
    """Layers whose outputs an argument carries, a node or several."""
    if isinstance(value, (list, tuple)):
        return NO_WRITERS.union(*(_carried(part, carried) for part in value))
    return carried[value] if isinstance(value, fx.Node) else NO_WRITERS
