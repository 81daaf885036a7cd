"""Which layers write into a hidden space and which read from it: by the module's graph, or by order and shape."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from wwopt.twin import twin

__all__ = ["Space", "spaces_by_graph", "spaces_by_order"]

WEIGHTED = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAST_OPERAND = {torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm", "__matmul__"}
ATTENTION = {nn.functional.scaled_dot_product_attention}
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
        graph = fx.Tracer().trace(twin(model))
    except Exception:  # noqa: BLE001  (a forward pass may do anything)
        return None
    modules = dict(model.named_modules())
    carried: dict[fx.Node, frozenset[str]] = {}
    edges: list[tuple[str, str]] = []
    for node in graph.nodes:
        sources = _sources(node, carried)
        layer = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, WEIGHTED):
            edges += [(writer, str(node.target)) for writer in sorted(sources)]
            sources = frozenset([str(node.target)])
        carried[node] = sources
    return _spaces(edges)


def spaces_by_order(layers: Sequence[tuple[str, str, int, int]]) -> list[Space]:
    """Match each layer with the next one that takes as many inputs as it has outputs.

    Parameters
    ----------
    layers : sequence of (name, layer_type, outputs, inputs)
        In the order of the state dict.
    """
    chain = [layer for layer in layers if not layer[0].lower().endswith(NOT_READ_ON)]
    edges = [
        (first[0], second[0])
        for first, second in itertools.pairwise(chain)
        if second[1] != "embedding" and second[3] % first[2] == 0 and (second[3] == first[2] or first[1] != "dense")
    ]
    return _spaces(edges)


def _sources(node: fx.Node, carried: Mapping[fx.Node, frozenset[str]]) -> frozenset[str]:
    """Layers whose outputs a value carries: of attention those of the values, not those that only weight them."""
    if node.target is getattr or node.target == "size":
        return frozenset()
    operands: Iterable[object] = node.all_input_nodes
    if node.target in LAST_OPERAND:
        operands = node.args[-1:]
    elif node.target in ATTENTION:
        operands = (*node.args[2:3], node.kwargs.get("value"))
    return frozenset[str]().union(*(carried[operand] for operand in operands if isinstance(operand, fx.Node)))


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
