"""ONNX: the weights of exported models, by their names and in the layout that they have in PyTorch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from wwopt.weights import open_weights

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402


class Network(nn.Module):
    """What exporters rename, fuse, transpose and fold."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(nn.Sequential(nn.Conv2d(8, 6, 3), nn.ReLU()))
        self.up = nn.ConvTranspose2d(6, 5, 2)
        self.embedding = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.linear, self.without = nn.Linear(8, 12), nn.Linear(12, 9, bias=False)
        self.lstm = nn.LSTM(9, 7, num_layers=2, bidirectional=True)
        self.gru, self.rnn = nn.GRU(9, 7), nn.RNN(9, 7)
        self.head = nn.Linear(7, 4)

    def forward(self, image, ids):
        states = self.embedding(ids)
        states, _ = self.attention(states, states, states, need_weights=False)
        states = self.without(self.linear(states))
        recurrent = self.lstm(states)[0].mean() + self.rnn(states)[0].mean()
        image = self.up(self.layer1(self.norm(self.stem(image))))
        return self.head(self.gru(states)[0].mean((0, 1))[None]) + recurrent + image.mean()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """The network as torch's exporter writes it."""
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = (torch.ones(1, 3, 8, 8), torch.ones(2, 4, dtype=torch.long))
        torch.onnx.export(network, inputs, path, dynamo=False)
    return path


def stacks(source):
    return {matrix.name: (matrix.layer_type, matrix.read()) for matrix in open_weights(source).matrices}


def test_exported_network_equals_its_module(network, exported):
    """Names, types, layout and values are the module's: also where the exporter transposed and renamed a weight."""
    ours, expected = stacks(exported), stacks(network)
    assert set(ours) == set(expected)
    for name, (layer_type, stack) in expected.items():
        assert ours[name][0] == layer_type or layer_type == "dense", name
        if name != "stem":  # into which the exporter folds the batch normalisation
            np.testing.assert_array_equal(ours[name][1], stack, err_msg=name)


def test_model_in_memory(exported):
    """An `onnx.ModelProto` is a source as its file is."""
    model = onnx.load(exported)
    ours, expected = stacks(model), stacks(exported)
    assert list(ours) == list(expected)
    assert all(np.array_equal(ours[name][1], expected[name][1]) for name in expected)


def test_model_in_memory_is_ranked_and_compared(tmp_path):
    """What takes a source takes a model in memory."""
    model = graph([helper.make_node("MatMul", ["x", "fc.weight"], ["y"])], [constant("fc.weight", normal(60, 50))])
    path = saved(model, tmp_path / "m.onnx")
    assert wwopt.compare(model, path).ok
    table = wwopt.rank({"a": model, "b": path}).table
    assert table.loc["a", "value"] == table.loc["b", "value"]


def graph(nodes, initialisers, **options):
    """A model of these nodes, with one input x and one output y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    made = helper.make_graph(nodes, "g", [x], [y], initialisers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], **options)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def saved(model, path, **options):
    onnx.save(model, path, **options)
    return path


def only(source):
    ((name, (_, stack)),) = stacks(source).items()
    return name, stack[0]


W = normal(9, 7)  # (outputs, inputs); longer first, so that a stack is not turned


@pytest.mark.parametrize(
    ("node", "stored", "name"),
    [
        (helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["y"], name="/a/query/MatMul"), W.T, "a.query"),
        (helper.make_node("MatMul", ["x", "own.weight"], ["y"], name="/a/MatMul"), W.T, "own"),
        (helper.make_node("MatMul", ["w", "x"], ["y"], name="/a/MatMul_1"), W, "w"),
        (helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["y"]), W.T, "MatMul_1"),
        (helper.make_node("Gemm", ["x", "fc.weight"], ["y"], transB=1), W, "fc"),
        (helper.make_node("Gemm", ["x", "fc.weight"], ["y"]), W.T, "fc"),
        (helper.make_node("Gemm", ["x", "onnx::Gemm_3", "fc.bias"], ["y"], transB=1), W, "fc"),
        (helper.make_node("Gather", ["wte.weight", "x"], ["y"]), W, "wte"),
        (
            helper.make_node("MatMul", ["x", "net/Const_2:0"], ["y"], name="net/Dense_0/einsum/Einsum"),
            W.T,
            "net.Dense_0",
        ),
        (helper.make_node("MatMul", ["x", "const_fold_7"], ["y"], name="net/fc/BiasAdd;net/fc/MatMul"), W.T, "net.fc"),
        (helper.make_node("MatMul", ["x", "val_3"], ["y"], name="/a/a.0/a.0.b/MatMul"), W.T, "a.0.b"),
    ],
    ids=["node", "own name", "left", "no name", "transposed", "Gemm", "bias", "table", "jax", "lite", "containers"],
)
def test_names_and_layout(node, stored, name):
    """A weight is called by its own name, else by its bias or its operation, and lies as in PyTorch."""
    weight = next(value for value in node.input if value not in ("x", "fc.bias"))
    found, matrix = only(graph([node], [constant(weight, stored), constant("fc.bias", W[:, 0])]))
    assert found == name
    np.testing.assert_array_equal(matrix, W)


def test_transposed_before_use():
    """A weight that is turned, copied or cast before it is multiplied lies as in PyTorch, and is found once."""
    nodes = [
        helper.make_node("Identity", ["fc.weight"], ["copy"]),
        helper.make_node("Transpose", ["copy"], ["turned"], perm=[1, 0]),
        helper.make_node("Cast", ["turned"], ["cast"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["x", "cast"], ["z"]),
        helper.make_node("MatMul", ["z", "turned"], ["y"]),
    ]
    name, matrix = only(graph(nodes, [constant("fc.weight", W)]))
    assert name == "fc"
    np.testing.assert_array_equal(matrix, W)


def test_names_that_are_equal():
    """Two operations of one module are two layers."""
    nodes = [helper.make_node("MatMul", ["x", f"onnx::MatMul_{i}"], ["y"], name="/a/MatMul") for i in (1, 2)]
    assert list(stacks(graph(nodes, [constant(f"onnx::MatMul_{i}", W.T) for i in (1, 2)]))) == ["a", "a_2"]


def test_recurrent_weights_that_the_graph_rearranges():
    """A weight that is a constant with a name, and that is cut and joined before it is used, is judged by its name."""
    nodes = [
        helper.make_node("Constant", [], ["rnn.weight_ih"], value=constant("", normal(24, 7))),
        helper.make_node("Constant", [], ["rnn.weight_hh"], value=constant("", normal(24, 6))),
        helper.make_node("Slice", ["rnn.weight_ih", "a", "b"], ["y"]),
    ]
    found = stacks(graph(nodes, []))
    assert list(found) == [f"rnn.weight_{kind}.{gate}" for kind in ("ih", "hh") for gate in "ifgo"]
    np.testing.assert_array_equal(found["rnn.weight_ih.f"][1][0], normal(24, 7)[6:12].T)


def test_graphs_within_graphs():
    """The weights of both branches of a condition are layers; the inner graphs see the outer constants."""
    inner = []
    for branch in ("then", "else"):
        node = helper.make_node("MatMul", ["x", "fc.weight"], [f"{branch}_y"])
        y = helper.make_tensor_value_info(f"{branch}_y", TensorProto.FLOAT, None)
        inner.append(
            helper.make_graph([node], branch, [], [y], [constant("fc.weight", W.T)] if branch == "then" else [])
        )
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner[0], else_branch=inner[1])
    assert list(stacks(graph([node], [constant("fc.weight", W.T)]))) == ["fc", "fc_2"]


def dequantized(node, initialisers):
    """What onnx's own evaluator makes of a node."""
    model = graph([node], initialisers)
    return ReferenceEvaluator(model).run(["y"], {"x": np.float32(0)})[0]


@pytest.mark.parametrize("kind", ["tensor", "rows", "columns", "blocks", "int4", "uint4 blocks", "float8"])
def test_weights_behind_dequantize_linear(kind):
    """A quantised weight is read as onnx's evaluator dequantises it: one scale, one a row or column, one a block."""
    rng = np.random.default_rng(0)
    codes, zero, axis, block = rng.integers(-128, 128, size=(12, 16), dtype=np.int8), np.int8(3), 1, 0
    scale = np.float32(0.1)
    if kind in ("rows", "columns"):
        axis = int(kind == "columns")
        scale, zero = normal(codes.shape[axis]), rng.integers(-9, 9, size=codes.shape[axis], dtype=np.int8)
    elif kind == "blocks":
        axis, block = 0, 4
        scale, zero = normal(3, 16), rng.integers(-9, 9, size=(3, 16), dtype=np.int8)
    attributes = {"axis": axis, **({"block_size": block} if block else {})}
    made = [constant("q", codes), constant("s", scale), constant("z", zero)]
    if kind == "int4":
        small = rng.integers(-8, 8, size=codes.size)
        made = [helper.make_tensor("q", TensorProto.INT4, codes.shape, small), constant("s", scale)]
    elif kind == "uint4 blocks":
        attributes = {"axis": 1, "block_size": 8}
        made = [
            helper.make_tensor("q", TensorProto.UINT4, codes.shape, rng.integers(16, size=codes.size)),
            constant("s", normal(12, 2)),
            helper.make_tensor("z", TensorProto.UINT4, (12, 2), rng.integers(16, size=24)),
        ]
    elif kind == "float8":
        made = [
            helper.make_tensor("q", TensorProto.FLOAT8E4M3FN, codes.shape, normal(codes.size)),
            constant("s", scale),
        ]
    expected = dequantized(
        helper.make_node("DequantizeLinear", ["q", "s", "z"][: len(made)], ["y"], **attributes), made
    )
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"][: len(made)], ["w"], **attributes),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    _, matrix = only(graph(nodes, made))
    np.testing.assert_allclose(matrix.T if matrix.shape != expected.shape else matrix, expected, rtol=1e-6)


def test_quantised_operations():
    """Operations that dequantise by themselves: the weight is their codes less the zero point, times the scale."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, size=(7, 9), dtype=np.uint8)
    scale, zero = normal(9), rng.integers(100, 150, size=9, dtype=np.uint8)
    made = [constant("fc_quantized", codes), constant("fc_scale", scale), constant("fc_zero_point", zero)]
    made += [constant("one", np.float32(1)), constant("nought", np.uint8(0))]
    expected = ((codes.astype(np.float32) - zero) * scale).T
    linear = ["x", "one", "nought", "fc_quantized", "fc_scale", "fc_zero_point", "one", "nought"]
    for node in (
        helper.make_node("QLinearMatMul", linear, ["y"]),
        helper.make_node("MatMulInteger", ["x", "fc_quantized", "nought", "fc_zero_point"], ["y"]),
    ):
        name, matrix = only(graph([node], made))
        assert name == "fc"
        np.testing.assert_allclose(matrix, expected, rtol=1e-6)


def test_names_that_quantisers_give():
    """ONNX Runtime's quantisers append to the names of weights and operations, and look up codes in a table."""
    codes = np.random.default_rng(0).integers(-128, 128, size=(7, 9), dtype=np.int8)
    parts = [constant("s", np.float32(0.5)), constant("onnx::MatMul_1_scale", np.float32(0.5))]
    for name, nodes in {
        "fc": [helper.make_node("MatMulInteger", ["x", "fc.weight_Transposed_quantized", "", ""], ["y"])],
        "a.q": [helper.make_node("MatMulInteger", ["x", "onnx::MatMul_1_quantized"], ["y"], name="/a/q/MatMul_quant")],
    }.items():
        stored = nodes[0].input[1]
        scale = constant(f"{stored.removesuffix('_quantized')}_scale", np.float32(0.5))
        found, matrix = only(graph(nodes, [constant(stored, codes), scale]))
        assert found == name
        np.testing.assert_array_equal(matrix, codes.T * 0.5)
    table = [constant("emb.weight_quantized", codes), constant("emb.weight_scale", np.float32(0.5)), *parts]
    gather = helper.make_node("Gather", ["emb.weight_quantized", "x"], ["g"])
    for after in ([], [helper.make_node("DequantizeLinear", ["g", "s"], ["y"])]):
        found, matrix = only(graph([gather, *after], table))
        assert found == "emb"
        np.testing.assert_array_equal(matrix.T, codes * 0.5)


def test_quantised_lstm():
    """The weights of a quantised LSTM lie with their inputs first, and have a scale each or one a column."""
    rng = np.random.default_rng(0)
    codes = {kind: rng.integers(-128, 128, size=(1, size, 24), dtype=np.int8) for kind, size in (("W", 9), ("R", 6))}
    made = [constant(kind, values) for kind, values in codes.items()]
    made += [constant("Ws", normal(1, 24)), constant("Rs", np.float32([0.5])), constant("z", np.int8([3]))]
    inputs = ["x", "W", "R", "", "", "", "", "", "Ws", "", "Rs", "z"]
    node = helper.make_node("DynamicQuantizeLSTM", inputs, ["y"], name="/rnn/LSTM_quant", domain="com.microsoft")
    found = stacks(graph([node], made))
    assert list(found) == [f"rnn.weight_{kind}_l0.{gate}" for kind in ("ih", "hh") for gate in "iofg"]
    expected = codes["W"][0] * normal(1, 24)
    np.testing.assert_allclose(found["rnn.weight_ih_l0.o"][1][0], expected[:, 6:12], rtol=1e-6)
    expected = (codes["R"][0].astype(float) - 3) * 0.5
    np.testing.assert_allclose(found["rnn.weight_hh_l0.f"][1][0], expected[:, 12:18].T, rtol=1e-6)


def test_convolution_of_int8():
    """A quantised convolution has a scale for each output."""
    codes = np.random.default_rng(0).integers(-128, 128, size=(9, 7, 1, 1), dtype=np.int8)
    scale = normal(9)
    made = [constant("c_quantized", codes), constant("c_scale", scale), constant("z", np.zeros(9, np.int8))]
    made += [constant("one", np.float32(1)), constant("nought", np.uint8(0))]
    node = helper.make_node(
        "QLinearConv", ["x", "one", "nought", "c_quantized", "c_scale", "z", "one", "nought"], ["y"]
    )
    _, matrix = only(graph([node], made))
    np.testing.assert_allclose(matrix, codes[:, :, 0, 0] * scale[:, None], rtol=1e-6)


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_matmul_n_bits(bits, zeros):
    """ONNX Runtime's 4-bit products: blocks that are packed here, by the text of the operator."""
    rng = np.random.default_rng(0)
    n, k, block = 20, 40, 16
    blocks = 3  # of 16, the last not full
    codes = rng.integers(1 << bits, size=(n, blocks, block))
    scale, zero = normal(n, blocks), rng.integers(1 << bits, size=(n, blocks + blocks % 2))
    zero_points = zero[:, :blocks] if zeros else 1 << bits - 1
    expected = ((codes - np.expand_dims(zero_points, -1)) * scale[..., None]).reshape(n, -1)[:, :k]
    pack = (lambda q: q[..., ::2] | q[..., 1::2] << 4) if bits == 4 else (lambda q: q)
    made = [constant("fc.weight_Q4", pack(codes).astype(np.uint8)), constant("s", scale.ravel())]
    packed_zero = pack(zero) if bits == 4 else zero[:, :blocks]
    made.append(constant("z", packed_zero.astype(np.uint8).ravel()))
    inputs = ["x", "fc.weight_Q4", "s", *(["z"] if zeros else [])]
    node = helper.make_node("MatMulNBits", inputs, ["y"], domain="com.microsoft", N=n, K=k, bits=bits, block_size=block)
    name, matrix = only(graph([node], made))
    assert name == "fc"
    np.testing.assert_allclose(matrix.T, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "FLOAT8E4M3FN", "FLOAT8E5M2"])
@pytest.mark.parametrize("raw", [True, False])
def test_every_way_to_store_a_float(dtype, raw, tmp_path):
    """Values as bytes, as packed numbers and as packed integers are the same; so are those in another file."""
    tensor = helper.make_tensor("fc.weight", getattr(TensorProto, dtype), (7, 9), W.T.ravel())
    expected = numpy_helper.to_array(tensor).astype(np.float64)
    if raw:
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), "fc.weight")
    model = graph([helper.make_node("MatMul", ["x", "fc.weight"], ["y"])], [tensor])
    for source in (model, saved(model, tmp_path / "m.onnx")):
        np.testing.assert_array_equal(only(source)[1].T, expected)


def test_what_is_no_weight(tmp_path):
    """Masks, scales and other constants are no layers; a bias stays a vector; what has a name is judged by it."""
    nodes = [
        helper.make_node("Constant", [], ["mask"], value=constant("", np.full((9, 9), -np.inf, np.float32))),
        helper.make_node("Add", ["x", "mask"], ["z"]),
        helper.make_node("Constant", [], ["least"], value=constant("", np.float32(-np.inf))),
        helper.make_node("Max", ["z", "least"], ["u"]),
        helper.make_node("MatMul", ["u", "fc.weight"], ["v"]),
        helper.make_node("Add", ["v", "fc.bias"], ["y"]),
    ]
    made = [constant("fc.weight", W.T), constant("fc.bias", W[:, 0]), constant("ids", np.ones((9, 9), np.int64))]
    made.append(constant("scale", W[None, :, :1]))
    weights = open_weights(saved(graph(nodes, made), tmp_path / "m.onnx"))
    assert [matrix.name for matrix in weights.matrices] == ["fc"]
    assert dict(weights.skipped)["mask"] == "a constant, which no layer multiplies by"
    assert dict(weights.skipped)["ids"] == "not a weight: dtype int64"
    assert [(tensor.name, tensor.shape) for _, tensor in weights.vectors] == [("fc.bias", (9,)), ("scale", (9,))]
    assert not wwopt.analyze(tmp_path / "m.onnx", min_evals=5).faults.size


def test_unknown_type_skips_its_tensor():
    """Four-bit floats, and types that are still to come, leave out their tensor, not the file."""
    nodes = [helper.make_node("MatMul", ["x", name], ["y"]) for name in ("new.weight", "fc.weight")]
    tensor = helper.make_tensor("new.weight", TensorProto.FLOAT4E2M1, (8, 8), np.ones(64))
    for code in (TensorProto.FLOAT4E2M1, 77):
        tensor.data_type = code
        weights = open_weights(graph(nodes, [tensor, constant("fc.weight", W.T)]))
        assert [matrix.name for matrix in weights.matrices] == ["fc"]
        assert [name for name, _ in weights.skipped] == ["new"]


@pytest.fixture
def beside(tmp_path):
    """A model whose weights lie in a file beside it."""
    nodes = [helper.make_node("MatMul", ["x", f"{i}.weight"], ["y"]) for i in "ab"]
    made = [constant("a.weight", normal(70, 60)), constant("b.weight", normal(70, 55, seed=1))]
    options = {"save_as_external_data": True, "location": "m.onnx.data", "size_threshold": 0}
    return saved(graph(nodes, made), tmp_path / "m.onnx", **options)


def test_external_data(beside):
    """Values in a file beside the model are read from there, layer by layer, also in a folder and in a hub's cache."""
    found = stacks(beside)
    np.testing.assert_array_equal(found["a"][1][0], normal(70, 60))
    np.testing.assert_array_equal(found["b"][1][0], normal(70, 55, seed=1))
    assert list(stacks(beside.parent)) == ["a", "b"]
    blob = beside.parent / "blob"
    (beside.parent / "m.onnx.data").rename(blob)
    (beside.parent / "m.onnx.data").symlink_to(blob)
    assert list(stacks(beside)) == ["a", "b"]


def edited(path, **entries):
    """The model with another place for its first weight."""
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = str(entries.get(entry.key, entry.value))
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "location",
    ["../m.onnx.data", "/etc/passwd", "a/../../m.onnx.data", "..\\m.onnx.data", "C:\\secret", "file:///etc/passwd", ""],
)
def test_external_data_outside_of_the_folder(beside, location):
    """A model cannot point to files elsewhere."""
    edited(beside, location=location)
    with pytest.raises(ValueError, match=r"m\.onnx .*outside of the model's folder"):
        open_weights(beside)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "gone.data"}, "its external data 'gone.data' are missing; they belong beside the model"),
        ({"offset": 1 << 40}, "needs 16800 bytes"),
        ({"length": 8}, "needs 16800 bytes, m.onnx.data has 8"),
        ({"offset": -1}, "has the offset '-1'"),
        ({"offset": "1e9"}, "has the offset '1e9'"),
        ({"offset": 16804}, "overlaps another tensor"),
    ],
)
def test_damaged_external_data(beside, entries, words):
    """A line names the model, the tensor and the fault."""
    edited(beside, **entries)
    with pytest.raises(ValueError, match=r"m\.onnx is not a readable ONNX model") as raised:
        open_weights(beside)
    assert words in str(raised.value)


def test_external_data_of_a_model_in_memory(beside):
    """A model in memory does not tell where the file lies: its path does."""
    weights = open_weights(onnx.load(beside, load_external_data=False))
    assert weights.skipped[0][1].endswith("give the path of the model")


FAULTS = {
    "it holds no graph": b"\x08\x07\x12\x07pytorch",
    "a field of 100 bytes where 2 are left": b"\x3a\x64ab",
    "an integer has no end": b"\xff" * 20,
    "is not in use": b"\x3b\x01",
    "more than 16 deep": None,
    "'w' of shape (1000000, 1000000) and type float32 does not fill its 4 bytes": (1_000_000, 1_000_000),
    "has no shape": (-3, 4),
}


def nested(depth):
    node = (
        helper.make_node("If", ["x"], ["y"], then_branch=nested(depth - 1))
        if depth
        else helper.make_node("Add", [], [])
    )
    return helper.make_graph([node], "g", [], [])


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_model(tmp_path, fault):
    """A damaged model is refused in a line that names the file and the fault, before memory is taken."""
    content = FAULTS[fault]
    if content is None:
        content = helper.make_model(nested(30)).SerializeToString()
    elif not isinstance(content, bytes):
        model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [])
        claimed = TensorProto(name="w", dims=content, data_type=TensorProto.FLOAT, raw_data=b"abcd")
        model.graph.initializer.append(claimed)
        content = model.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.onnx is not a readable ONNX model") as raised:
        open_weights(tmp_path / "m.onnx")
    assert fault in str(raised.value)


def test_scales_that_are_missing_or_of_another_shape():
    """A quantised weight whose scales do not fit is left out by its name."""
    made = [constant("fc_quantized", np.ones((7, 9), np.int8)), constant("s", normal(4))]
    cases = {
        "without its scales": [helper.make_node("MatMulInteger", ["x", "fc_quantized"], ["y"])],
        "with scales or zero points of shape (4,)": [
            helper.make_node("DequantizeLinear", ["fc_quantized", "s"], ["w"]),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ],
    }
    for words, nodes in cases.items():
        skipped = dict(open_weights(graph(nodes, made)).skipped)
        assert words in skipped["fc"]
