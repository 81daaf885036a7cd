"""Hidden spaces of a module, found by tracing its forward pass symbolically."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import fx, nn

from wwopt.alignment.flow import NO_WRITERS, SHARES, Flow, Writers
from wwopt.alignment.spaces import Wiring, join_edges, norm_gain
from wwopt.response.replica import replica

if TYPE_CHECKING:
    from wwopt.arrays import Floats

__all__ = ["wiring_by_graph"]

LAST_OPERAND = {torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm", "__matmul__"}
ATTENTION = {nn.functional.scaled_dot_product_attention}
JOINING = {torch.cat, torch.concat, torch.concatenate, torch.hstack, torch.column_stack, torch.dstack}
SOFTMAX = {nn.functional.softmax, torch.softmax, "softmax"}
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
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


def wiring_by_graph(model: nn.Module) -> Wiring | None:
    """Find the hidden spaces of a module by tracing its forward pass; None where it cannot be traced.

    Values that are added, as at a shortcut, share a space; activations, norms, pooling and reshapes keep a space;
    attention passes on the space of its values.

    Examples
    --------
    >>> wiring_by_graph(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))).spaces
    (Space(writers=('0',), readers=('2',)),)
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
            carried[node] = _through(node, modules, carried, flow)
        else:
            carried[node] = _sources(node, carried, flow)
    return Wiring(
        spaces=tuple(join_edges(flow.edges)),
        products=tuple(flow.products),
        folds=tuple((writer, _UnitGain(modules[norm])) for norm, writer in flow.folds),
        gains=tuple((reader, _UnitGain(modules[norm])) for norm, reader in flow.gains),
    )


@dataclass(frozen=True)
class _UnitGain:
    """Factor by which a norm in evaluation, or a depthwise convolution, multiplies each unit."""

    layer: nn.Module

    def __call__(self) -> Floats:
        gain = _values(getattr(self.layer, "weight", None), np.ones(1))
        if isinstance(self.layer, CONVOLUTIONS):
            return np.asarray(np.linalg.norm(gain.reshape(len(gain), -1), axis=1))
        variance = _values(getattr(self.layer, "running_var", None), np.empty(0))
        return norm_gain(gain, variance, getattr(self.layer, "eps", 0.0)) if variance.size else gain


def _values(tensor: object, otherwise: Floats) -> Floats:
    """Values of a norm's tensor; NaN where it holds none, as on the meta device."""
    if tensor is None:
        return otherwise
    if not isinstance(tensor, torch.Tensor) or tensor.is_meta or tensor.is_complex():
        return np.full(1, np.nan)
    return np.asarray(tensor.detach().double().cpu().numpy())


def _through(
    node: fx.Node, modules: Mapping[str, nn.Module], carried: Mapping[fx.Node, Writers], flow: Flow
) -> Writers:
    """Pass a module; a batch norm right after a layer that nothing else reads belongs to that layer."""
    name = str(node.target)
    args = [_carried(value, carried) for value in node.args]
    kwargs = {key: _carried(value, carried) for key, value in node.kwargs.items()}
    writer = _only_source(node)
    if writer and isinstance(modules[name], BATCH_NORMS) and args[0] == {writer}:
        flow.folds.append((name, writer))
        return args[0]
    if isinstance(modules[name], nn.Softmax):
        return NO_WRITERS.union({SHARES}, *args)
    return flow.through(modules[name], name, args, kwargs)


def _only_source(node: fx.Node) -> str:
    """Name of the module whose output a node alone takes; empty where there is none."""
    source = node.args[0] if node.args else None
    is_alone = isinstance(source, fx.Node) and source.op == "call_module" and len(source.users) == 1
    return str(source.target) if isinstance(source, fx.Node) and is_alone else ""


def _sources(node: fx.Node, carried: Mapping[fx.Node, Writers], flow: Flow) -> Writers:
    """Layers whose outputs a node carries; of attention those of its values, not of its queries and keys."""
    if node.target is getattr or node.target == "size" or node.target in WITH_WEIGHTS:  # plain tensors, of no layer
        return NO_WRITERS
    if node.target in JOINING:
        parts = {part for part in _parts(node, carried) if part}
        return parts.pop() if len(parts) == 1 else NO_WRITERS  # concatenated they are not one space
    if node.target in LAST_OPERAND:
        first, last = _carried(node.args[:1], carried), _carried(node.args[-1:], carried)
        if SHARES not in first:
            flow.multiply(first, last)
        return last
    if node.target in ATTENTION:
        given = dict(zip(("query", "key", "value"), node.args, strict=False)) | dict(node.kwargs)
        query, key, value = (_carried(given.get(part), carried) for part in ("query", "key", "value"))
        flow.multiply(query, key)
        return value
    inputs = _carried(node.all_input_nodes, carried)
    return inputs | {SHARES} if node.target in SOFTMAX else inputs


def _parts(node: fx.Node, carried: Mapping[fx.Node, Writers]) -> list[Writers]:
    """Layers whose outputs each of the concatenated values carries."""
    joined = node.args[0] if node.args else node.kwargs.get("tensors", ())
    return [_carried(part, carried) for part in joined] if isinstance(joined, (list, tuple)) else []


def _carried(value: object, carried: Mapping[fx.Node, Writers]) -> Writers:
    """Layers whose outputs an argument carries, a node or several."""
    if isinstance(value, (list, tuple)):
        return NO_WRITERS.union(*(_carried(part, carried) for part in value))
    return carried[value] if isinstance(value, fx.Node) else NO_WRITERS
