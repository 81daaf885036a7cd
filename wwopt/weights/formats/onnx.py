"""ONNX models: the weights that its operations read, with the names and the layout that they have in PyTorch."""

from __future__ import annotations

import math
import mmap
import re
from collections import ChainMap, Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wwopt.text import one_line
from wwopt.weights.formats.onnx_graph import Constant, Graph, Node, read_graph
from wwopt.weights.formats.onnx_values import CODES, Dequantized, InBlocksOfBits, check_external, describe_constant
from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.dtypes import is_weight_dtype
from wwopt.weights.tensors.readers import First, Reshaped, Turned, rows

if TYPE_CHECKING:
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["is_onnx_model", "read_onnx", "read_onnx_model"]

PASSED = ("Identity", "Cast", "Transpose", "DequantizeLinear", "QuantizeLinear")
DEEPEST = 8  # operations between a weight and the one that multiplies by it
CONVOLUTIONS = {"Conv": "conv{}d", "FusedConv": "conv{}d", "ConvInteger": "conv{}d", "QLinearConv": "conv{}d",
                "ConvTranspose": "conv_transpose{}d"}  # fmt: skip
PRODUCTS = ("MatMul", "FusedMatMul", "MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
            "Gemm", "FusedGemm", "QGemm")  # fmt: skip
QUANTISED_LSTM = "DynamicQuantizeLSTM"
GATES = {
    QUANTISED_LSTM: ("lstm", ("i", "o", "f", "g")),
    "LSTM": ("lstm", ("i", "o", "f", "g")),
    "GRU": ("gru", ("z", "r", "n")),
    "RNN": ("rnn", ("",)),
}
OWN_SCALES = {  # places of a weight's codes, scales and zero points, in operations that dequantise by themselves
    "QLinearConv": (3, 4, 5), "QLinearMatMul": (3, 4, 5), "QGemm": (3, 4, 5), "DynamicQuantizeMatMul": (1, 2, 3),
    "MatMulIntegerToFloat": (1, 3, 5), "MatMulInteger": (1, None, 3), "ConvInteger": (1, None, 3),
}  # fmt: skip
GENERATED = re.compile(  # by exporters, optimisers and TensorFlow, which numbers its tensors
    r"onnx::|/|_?val_\d+(_\w+)?$|_?v?\d+$|.*Const(ant)?(_\d+)?(_output_\d+)?$|.*const_fold|.*:\d+$"
)
STEPS = re.compile(
    r"(MatMul|Gemm|Conv)_(quant|Q\d\w*)|Conv\dD|depthwise|BiasAdd|Relu\d?|[Ee]insum|Tensordot|MatMul"
)  # of a layer
QUANTISED_NAME = re.compile(
    r"(_Transposed|_quantized|_(DQ_)?Q\d(G\d+)?)+$"
)  # what quantisers append to a weight's name
BIASES = "biases of a recurrent layer, not a weight"
COMPANION = "scales or zero points of a quantised weight"


def read_onnx(path: Path) -> list[NamedTensor]:
    """Describe the weights of a model in the order of its operations; each is read when asked for.

    Raises
    ------
    ValueError
        The file is damaged, or values beside it are missing or cut off.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            graph = read_graph(content)
        return _Model(graph, path).tensors()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a readable ONNX model: {error}") from error


def is_onnx_model(source: object) -> bool:
    """Whether a source is an `onnx.ModelProto`; does not import onnx."""
    return type(source).__name__ == "ModelProto" and hasattr(source, "SerializeToString") and hasattr(source, "graph")


def read_onnx_model(model: Any) -> list[NamedTensor]:
    """Describe the weights of an `onnx.ModelProto`, which is left unchanged.

    Raises
    ------
    ValueError
        It is larger than a protocol buffer may be, or damaged.
    """
    try:
        content = bytes(model.SerializeToString())
    except Exception as error:  # protobuf's own
        raise ValueError(
            f"The ModelProto cannot be serialised ({one_line(error)}). Save it with external data, "
            "`onnx.save(model, path, save_as_external_data=True)`, and give the path."
        ) from error
    return _Model(read_graph(content), content).tensors()


Scope = Mapping[str, Any]


class _Model:
    """Weights that are found in a graph, in the order of the operations that read them."""

    def __init__(self, graph: Graph, source: Path | bytes) -> None:
        self.graph = graph
        self.source = source
        self.found: dict[str, NamedTensor] = {}  # by name
        self.done: set[int] = set()  # constants that were found, or belong to one that was
        self.companions: set[int] = set()
        self.counts: Counter[str] = Counter()  # of operations without a name

    def tensors(self) -> list[NamedTensor]:
        """Describe the weights, then what no operation of a layer reads."""
        constants = [constant for graph in _all_graphs(self.graph) for constant in graph.constants.values()]
        check_external(constants)
        self._walk(self.graph, {}, {})
        for constant in constants:
            if id(constant) not in self.done:
                self._add_other(constant)
        return list(self.found.values())

    def _walk(self, graph: Graph, outer: Scope, outer_makers: Scope) -> None:
        scope = ChainMap(graph.constants, *_maps(outer))
        makers = ChainMap({output: node for node in graph.nodes for output in node.outputs}, *_maps(outer_makers))
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for value in node.inputs:
                readers[value].append(node)
        within = _Within(scope, makers, readers)
        for node in graph.nodes:
            self._add_weights(node, within)
            for inner in node.graphs:
                self._walk(inner, scope, makers)

    def _add_weights(self, node: Node, within: _Within) -> None:
        if node.op in CONVOLUTIONS:
            self._add(node, within, _place(node), CONVOLUTIONS[node.op])
        elif node.op in PRODUCTS:
            self._add_product(node, within)
        elif node.op == "Gather" and node.integers.get("axis", 0) == 0:
            self._add(node, within, 0, "embedding")
        elif node.op == "MatMulNBits":
            self._add_blocks(node, within)
        elif node.op in GATES:
            self._add_gates(node, within)

    def _add_product(self, node: Node, within: _Within) -> None:
        """Add the constant of a product: turned where it stands on the right, as rows are then its inputs."""
        right = _place(node)
        turned = not node.integers.get("transB", 0)
        if self._add(node, within, right, "dense", turn=turned) or node.op in OWN_SCALES:
            return
        self._add(node, within, 0, "dense", turn=bool(node.integers.get("transA", 0)))

    def _add(self, node: Node, within: _Within, place: int, layer_type: str, *, turn: bool = False) -> bool:
        """Add a weight that a node reads; return whether there is one."""
        constant, tensor = self._resolve(node.input(place), within)
        if constant is None or tensor is None or id(constant) in self.done:
            return constant is not None
        if node.op in OWN_SCALES:
            tensor = self._with_own_scales(node, within, constant, tensor)
        elif node.op == "Gather" and tensor.dtype in CODES:
            readers = within.readers.get("".join(node.outputs[:1]), ())
            after = next((one for one in readers if one.op == "DequantizeLinear"), None)
            stem = constant.name.removesuffix("_quantized")
            named = (f"{stem}_scale", f"{stem}_zero_point")
            tensor = self._dequantized(tensor, named if after is None else (after.input(1), after.input(2)), within, 0)
        shape = tensor.shape
        if len(shape) < 2 or (layer_type == "embedding" and (len(shape) != 2 or not is_weight_dtype(tensor.dtype))):
            return True  # not of a layer: numbers that are looked up
        if turn:
            axes = (len(shape) - 1, len(shape) - 2, *range(len(shape) - 2))
            tensor = replace(tensor, shape=tuple(shape[axis] for axis in axes), read=Turned(tensor.read, axes))
        self.done.add(id(constant))
        name = self._name(node, constant, within)
        self._keep(replace(tensor, name=name, layer_type=layer_type.format(len(shape) - 2)))
        return True

    def _keep(self, tensor: NamedTensor) -> None:
        """Keep a tensor under its name, or where that is in use, under one with a number."""
        name, number = tensor.name, 2
        stem, dot, leaf = tensor.name.rpartition(".")
        while name in self.found:
            name = f"{stem}_{number}{dot}{leaf}" if dot else f"{leaf}_{number}"
            number += 1
        self.found[name] = replace(tensor, name=name)

    def _resolve(self, value: str, within: _Within) -> tuple[Constant | None, NamedTensor | None]:
        """Follow a value back to a constant, through what copies, turns or dequantises it."""
        chain: list[Node] = []
        for _ in range(DEEPEST):
            constant = within.scope.get(value)
            if constant is not None:
                tensor: NamedTensor | None = describe_constant(constant, self.source)
                for node in reversed(chain):
                    tensor = None if tensor is None else self._applied(node, tensor, within)
                return (None if tensor is None else constant), tensor
            maker: Node | None = within.makers.get(value)
            if maker is None or maker.op not in PASSED:
                return None, None
            chain.append(maker)
            value = maker.input(0)
        return None, None

    def _applied(self, node: Node, tensor: NamedTensor, within: _Within) -> NamedTensor | None:
        if node.op == "Transpose":
            axes = node.lists.get("perm", tuple(reversed(range(len(tensor.shape)))))
            if sorted(axes) != list(range(len(tensor.shape))):
                raise ValueError(f"{tensor.name!r} of shape {tensor.shape} is transposed by {axes}")
            return replace(tensor, shape=tuple(tensor.shape[axis] for axis in axes), read=Turned(tensor.read, axes))
        if node.op == "DequantizeLinear" and tensor.dtype in CODES:
            axis, block = node.integers.get("axis", 1), node.integers.get("block_size", 0)
            return self._dequantized(tensor, (node.input(1), node.input(2)), within, axis, block)
        return tensor

    def _dequantized(
        self, tensor: NamedTensor, companions: tuple[str, str], within: _Within, axis: int, block: int = 0
    ) -> NamedTensor:
        scale, zero = (self._companion(name, within) for name in companions)
        if tensor.unusable or tensor.dtype not in CODES:
            return tensor
        if scale is None:
            return replace(tensor, unusable="quantised, without its scales in the file")
        for part in (scale, zero):
            if part is not None and not _fits(part.shape, tensor.shape, axis, block):
                reason = f"quantised, of shape {tensor.shape} with scales or zero points of shape {part.shape}"
                return replace(tensor, unusable=reason)
        read = Dequantized(tensor.read, scale.read, None if zero is None else zero.read, axis, block)
        return replace(tensor, read=read, dtype="float32", coding=_coding(tensor, scale, axis, block))

    def _companion(self, name: str, within: _Within) -> NamedTensor | None:
        constant = within.scope.get(name)
        if constant is None:
            return None
        self.companions.add(id(constant))
        tensor = describe_constant(constant, self.source)
        known = is_weight_dtype(tensor.dtype) or tensor.dtype in CODES
        return tensor if known and tensor.unusable is None else None

    def _with_own_scales(self, node: Node, within: _Within, constant: Constant, tensor: NamedTensor) -> NamedTensor:
        _, place, zero = OWN_SCALES[node.op]
        stem = constant.name.removesuffix("_quantized")
        scale = f"{stem}_scale" if place is None else node.input(place)
        axis = 0 if "Conv" in node.op or node.integers.get("transB", 0) else len(tensor.shape) - 1
        return self._dequantized(tensor, (scale, node.input(zero)), within, axis)

    def _add_blocks(self, node: Node, within: _Within) -> None:
        constant = within.scope.get(node.input(1))
        scale, zero = (self._companion(node.input(place), within) for place in (2, 3))
        if constant is None or scale is None or id(constant) in self.done:
            return
        tensor = describe_constant(constant, self.source)
        n, k, bits, block = (node.integers.get(key, default) for key, default in
                             (("N", 0), ("K", 0), ("bits", 4), ("block_size", 0)))  # fmt: skip
        blocks = -(-k // block) if block > 0 else 0
        whole = bits in (2, 4, 8) and min(n, k, block) > 0 and block * bits % 8 == 0
        zeros = zero is None or math.prod(zero.shape) in (n * blocks, n * -(-blocks * bits // 8))
        if (
            not whole
            or tensor.shape != (n, blocks, block * bits // 8)
            or math.prod(scale.shape) != n * blocks
            or not zeros
        ):
            raise ValueError(f"{constant.name!r} of shape {tensor.shape} is not {n} rows of {k} values in {bits} bits")
        read = InBlocksOfBits(tensor.read, scale.read, None if zero is None else zero.read, k, bits, block)
        self.done.add(id(constant))
        name = self._name(node, constant, within)
        described = replace(
            tensor, coding=Coding(f"ONNX, {bits} bits, blocks of {block}", bits, (1, block)), layer_type="dense"
        )
        self._keep(replace(described, name=name, shape=(n, k), dtype="float32", read=read))

    def _add_gates(self, node: Node, within: _Within) -> None:
        """Add the matrix of each gate and direction, by the names that PyTorch gives them."""
        layer_type, gates = GATES[node.op]
        layer, number = self._path(node).removesuffix("_quant"), 0
        if match := re.fullmatch(r"(?P<layer>.*)\.(LSTM|GRU|RNN)(_(?P<number>\d{1,4}))?", layer):
            layer, number = match["layer"], int(match["number"] or 0)
        biases = within.scope.get(node.input(3))
        if biases is not None and id(biases) not in self.done:
            self.done.add(id(biases))
            self._keep(replace(describe_constant(biases, self.source), unusable=BIASES))
        for place, kind in ((1, "ih"), (2, "hh")):
            constant, tensor = self._resolve(node.input(place), within)
            if constant is None or tensor is None or id(constant) in self.done or len(tensor.shape) != 3:
                continue
            if node.op == QUANTISED_LSTM:
                tensor = self._dequantized_gates(node, tensor, within, 6 + 2 * place)
            if tensor.shape[0] > 2 or tensor.shape[1] % len(gates):
                raise ValueError(f"{constant.name!r} of shape {tensor.shape} is no weight of {node.op}")
            self.done.add(id(constant))
            size = tensor.shape[1] // len(gates)
            for direction in range(tensor.shape[0]):
                one = First(rows(tensor.read, 0, direction, direction + 1))
                ending = f"weight_{kind}_l{number}{'_reverse' if direction else ''}"
                for i, gate in enumerate(gates):
                    part = rows(one, 0, i * size, (i + 1) * size)
                    name = ".".join(filter(None, (layer, ending, gate)))
                    shape = (size, tensor.shape[2])
                    self._keep(replace(tensor, name=name, shape=shape, read=part, layer_type=layer_type))

    def _dequantized_gates(self, node: Node, tensor: NamedTensor, within: _Within, place: int) -> NamedTensor:
        """Dequantise the weight of a quantised LSTM, whose inputs come before its gates."""
        scale, zero = (self._companion(node.input(i), within) for i in (place, place + 1))
        shape = (tensor.shape[0], tensor.shape[2], tensor.shape[1])
        wrong = [part for part in (scale, zero) if part is not None and math.prod(part.shape) not in (1, shape[1])]
        turned = replace(tensor, shape=shape, read=Turned(tensor.read, (0, 2, 1)))
        if scale is None or wrong or shape[0] != 1 or tensor.dtype not in CODES:
            return replace(turned, unusable="quantised, without scales that fit")
        columns = (1, 0) if math.prod(scale.shape) > 1 else (0, 0)
        flat = [None if part is None else Reshaped(part.read, (math.prod(part.shape),)) for part in (scale, zero)]
        read = Dequantized(turned.read, flat[0] or scale.read, flat[1], 1)
        return replace(turned, read=read, dtype="float32", coding=Coding(f"ONNX, {tensor.dtype}", 8, columns))

    def _add_other(self, constant: Constant) -> None:
        """Add what is no layer's weight: under its own name as it is, else only where it has the shape of one."""
        tensor = describe_constant(constant, self.source)
        is_parameter = constant.initialiser or "weight" in constant.name.rpartition(".")[-1]
        named = is_parameter and not GENERATED.match(constant.name)
        if id(constant) in self.companions:
            if len(tensor.shape) > 1:
                self._keep(replace(tensor, unusable=COMPANION))
        elif named and len(tensor.shape) > 1 and math.prod(tensor.shape) == max(tensor.shape):  # made to be added
            self._keep(replace(tensor, shape=(max(tensor.shape),), read=Reshaped(tensor.read, (max(tensor.shape),))))
        elif named:
            self._keep(tensor)
        elif len(tensor.shape) > 1 and is_weight_dtype(tensor.dtype):
            self._keep(replace(tensor, unusable="a constant, which no layer multiplies by"))

    def _name(self, node: Node, constant: Constant, within: _Within) -> str:
        """Name a weight: its own name, that of the bias added to the product, or the path of the operation."""
        own = QUANTISED_NAME.sub("", constant.name)
        if not GENERATED.match(own):
            return own
        bias = next(filter(None, (self._bias(value, within) for value in self._added(node, within))), None)
        return bias or f"{self._path(node)}.weight"

    def _added(self, node: Node, within: _Within) -> Iterator[str]:
        """Yield what may be the bias of a node: its third input, or what is added to what it returns."""
        yield node.input(2)
        for output in node.outputs[:1]:
            for reader in within.readers.get(output, ()):
                if reader.op == "Add":
                    yield from (value for value in reader.inputs if value != output)

    def _bias(self, value: str, within: _Within) -> str | None:
        if value in within.scope and value.endswith("bias") and not GENERATED.match(value):
            return f"{value.removesuffix('bias')}weight"
        return None

    def _path(self, node: Node) -> str:
        """Dotted path of the module that a node belongs to, as torch's exporters write it into its name."""
        if not node.name:
            self.counts[node.op] += 1
            return f"{node.op}_{self.counts[node.op]}"
        parts = [part for part in node.name.partition(";")[0].split("/") if part] or [node.op]
        while len(parts) > 1 and (parts[-1] == node.op or STEPS.fullmatch(parts[-1])):
            parts.pop()
        kept = [
            one for one, following in zip(parts, [*parts[1:], ""], strict=True) if not following.startswith(f"{one}.")
        ]
        return ".".join(kept)


class _Within:
    """What the nodes of a graph can refer to: constants, the nodes that make a value, and those that read one."""

    def __init__(self, scope: Scope, makers: Scope, readers: Mapping[str, list[Node]]) -> None:
        self.scope = scope
        self.makers = makers
        self.readers = readers


def _place(node: Node) -> int:
    return OWN_SCALES.get(node.op, (1,))[0] or 0


def _maps(outer: Scope) -> list[Any]:
    return list(outer.maps) if isinstance(outer, ChainMap) else [outer]


def _all_graphs(graph: Graph) -> Iterator[Graph]:
    yield graph
    for node in graph.nodes:
        for inner in node.graphs:
            yield from _all_graphs(inner)


def _fits(part: tuple[int, ...], shape: tuple[int, ...], axis: int, block: int) -> bool:
    """Whether scales are one, one for each index of an axis, or one for each block along it."""
    if math.prod(part) == 1:
        return True
    if not -len(shape) <= axis < len(shape):
        return False
    if block > 0 and len(part) == len(shape):
        wanted = list(shape)
        wanted[axis] = -(-shape[axis] // block)
        return list(part) == wanted
    return math.prod(part) == shape[axis] and len(part) == 1


def _coding(codes: NamedTensor, scale: NamedTensor, axis: int, block: int) -> Coding:
    """Say how a weight is stored, with the rows and columns that share a scale."""
    bits = int(re.sub(r"\D", "", codes.dtype.removesuffix("fn").partition("_")[0]) or 8)
    of_rows = math.prod(scale.shape) > 1 and axis == 0 and not block
    blocks = (1, block) if block and axis else (block, 1) if block else (1, 0) if of_rows else (0, 0)
    return Coding(f"ONNX, {codes.dtype}", bits, blocks)
