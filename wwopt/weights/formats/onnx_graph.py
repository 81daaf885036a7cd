"""Graphs of ONNX: nodes and constants, read from the bytes of a model without the library."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wwopt.weights.formats.protobuf import Message

if TYPE_CHECKING:
    from mmap import mmap

__all__ = ["Constant", "Graph", "HeldValues", "Node", "read_graph"]

DEEPEST = 16  # graphs within graphs
MOST_DIMENSIONS = 32
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1", 24: "float8_e8m0fnu",
}  # fmt: skip
FIELDS = {4: "float32", 5: "varint", 7: "varint", 9: "raw", 10: "float64", 11: "varint"}  # that hold a tensor's values


@dataclass(frozen=True)
class HeldValues:
    """Values of a tensor within the model: bytes as they are (``raw``), packed numbers, or packed varints."""

    form: str
    start: int
    stop: int


@dataclass(frozen=True)
class Constant:
    """Tensor of a graph.

    Attributes
    ----------
    values : HeldValues or None
        Where its values are in the model; None where they are not.
    external : mapping of str to str
        ``location``, ``offset`` and ``length`` of values in another file; empty where they are in the model.
    initialiser : bool
        Whether it is a parameter of the graph and not the value of a node.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    values: HeldValues | None
    external: dict[str, str] = field(default_factory=dict)
    initialiser: bool = True


@dataclass(frozen=True)
class Node:
    """Operation of a graph."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: dict[str, int]
    lists: dict[str, tuple[int, ...]]
    graphs: tuple[Graph, ...] = ()

    def input(self, place: int) -> str:
        """Name of an input; empty where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""


@dataclass(frozen=True)
class Graph:
    """Nodes in their order, and constants by name."""

    nodes: tuple[Node, ...]
    constants: dict[str, Constant]


def read_graph(buffer: mmap | bytes) -> Graph:
    """Read the graph of a model.

    Raises
    ------
    ValueError
        The bytes are no model, or damaged.
    """
    graphs = [value for number, value in Message(buffer, 0, len(buffer)).fields() if number == 7]
    if len(graphs) != 1 or not isinstance(graphs[0], Message):
        raise ValueError("it holds no graph")
    return _graph(graphs[0], 0)


def _graph(message: Message, depth: int) -> Graph:
    if depth > DEEPEST:
        raise ValueError(f"graphs lie within each other more than {DEEPEST} deep")
    nodes: list[Node] = []
    constants: dict[str, Constant] = {}
    for number, value in message.fields():
        if number == 1:
            node, values = _node(_inner(value), depth)
            nodes.append(node)
            constants.update(zip(node.outputs, values, strict=False))
        elif number == 5:
            tensor = _tensor(_inner(value))
            constants[tensor.name] = tensor
    return Graph(tuple(nodes), constants)


@dataclass
class _Attributes:
    """Attributes of a node, sorted into what they are; texts and floats are passed over."""

    integers: dict[str, int] = field(default_factory=dict)
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict)
    graphs: list[Graph] = field(default_factory=list)
    tensors: list[Message] = field(default_factory=list)

    def add(self, message: Message, depth: int) -> None:
        """Add the value of one."""
        name, single, numbers = "", None, []
        for number, value in message.fields():
            if number == 1:
                name = _inner(value).text()
            elif number == 3 and isinstance(value, int):
                single = _signed(value)
            elif number == 5:
                self.tensors.append(_inner(value))
            elif number in (6, 11):
                self.graphs.append(_graph(_inner(value), depth + 1))
            elif number == 8:
                numbers += [value] if isinstance(value, int) else value.varints()
        if single is not None:
            self.integers[name] = single
        if numbers:
            self.lists[name] = tuple(map(_signed, numbers))


def _node(message: Message, depth: int) -> tuple[Node, list[Constant]]:
    """Read a node, and the tensor of one that is a constant."""
    inputs: list[str] = []
    outputs: list[str] = []
    names = {3: "", 4: ""}
    found = _Attributes()
    for number, value in message.fields():
        if number == 5:
            found.add(_inner(value), depth)
        elif number in (1, 2):
            (inputs if number == 1 else outputs).append(_inner(value).text())
        elif number in names:
            names[number] = _inner(value).text()
    node = Node(names[4], names[3], tuple(inputs), tuple(outputs), found.integers, found.lists, tuple(found.graphs))
    values = [_tensor(tensor, outputs[0]) for tensor in found.tensors] if node.op == "Constant" and outputs else []
    return node, values


def _tensor(message: Message, name: str | None = None) -> Constant:
    shape: list[int] = []
    values: list[HeldValues] = []
    external: dict[str, str] = {}
    code, own = 0, ""
    for number, value in message.fields():
        if number == 1:
            shape += map(_signed, [value] if isinstance(value, int) else value.varints())
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8:
            own = _inner(value).text()
        elif number == 13:
            key, text = _entry(_inner(value))
            external[key] = text
        elif number in FIELDS and isinstance(value, Message):
            values.append(HeldValues(FIELDS[number], value.start, value.stop))
    label = own if name is None else name
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape) or math.prod(shape) >= 1 << 62:
        raise ValueError(f"{label!r} has no shape")
    place = values[0] if len(values) == 1 else None
    dtype = DTYPES.get(code, f"{code} of ONNX, unknown")
    return Constant(label, dtype, tuple(shape), place, external, name is None)


def _entry(message: Message) -> tuple[str, str]:
    texts = {number: value.text() for number, value in message.fields() if isinstance(value, Message)}
    return texts.get(1, ""), texts.get(2, "")


def _inner(value: int | Message) -> Message:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")  # noqa: TRY004  (of the file, not of an argument)
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
