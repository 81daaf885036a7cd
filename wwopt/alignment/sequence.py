"""Hidden spaces of a sequence of layers, matched by order and shape, where no graph is known."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wwopt.alignment.spaces import Space, join_edges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["spaces_by_order"]

RECURRENT = re.compile(r"weight_(ih|hh)(?P<layer>_l\d+(_reverse)?)?(\.[a-z])?$")
NOT_READ_ON = ("query", "key", "q_proj", "k_proj", ".q", ".k", "wq", "wk")  # only weight the values


def spaces_by_order(layers: Sequence[tuple[str, str, int, int]]) -> list[Space]:
    """Match each layer with the next one, where that takes as many inputs as the first has outputs.

    Parameters
    ----------
    layers : sequence of (name, layer_type, outputs, inputs)
        In the order of the state dict. Both numbers of a layer of unknown kind are 0, and nothing is matched with it.

    Examples
    --------
    >>> spaces_by_order([("fc1", "dense", 64, 32), ("fc2", "dense", 10, 64)])
    [Space(writers=('fc1',), readers=('fc2',))]
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
    return join_edges(edges)


class _Layer(NamedTuple):
    name: str
    layer_type: str
    outputs: int
    inputs: int


@dataclass(frozen=True)
class _Stage:
    """Layers that act as one: gates, embeddings that are added up, queries and keys beside values.

    ``state`` are the gates of a recurrent layer that read its previous output.
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
    for _, group in itertools.groupby((layer for layer in layers if "relative" not in layer.name), _stage_key):
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


def _stage_key(layer: _Layer) -> object:
    """Key that layers of one stage share: the recurrent layer of gates, the width of embeddings, else the name."""
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
