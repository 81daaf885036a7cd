"""Kernels of JAX, Keras and TensorFlow, and tables of positions: the same matrices as PyTorch's layers."""

from __future__ import annotations

import numpy as np
import pytest

import wwopt
from wwopt.weights import open_weights

HEADS, SIZE = 4, 24
D = HEADS * SIZE
RNG = np.random.default_rng(0)


def matrix(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def singular_values(stack):
    return np.sort(np.linalg.svd(np.asarray(stack, dtype=np.float64), compute_uv=False), axis=None)


def assert_holds(source, expected):
    """The source has these layers, and each the singular values of the matrix, or of the stack of them."""
    found = {m.name: m for m in open_weights(source).matrices}
    assert sorted(found) == sorted(expected)
    for name, stack in expected.items():
        assert found[name].num_evals == min(stack.shape[-2:]) * max(1, len(stack) if stack.ndim == 3 else 1)
        np.testing.assert_allclose(singular_values(found[name].read()), singular_values(stack), rtol=1e-4, atol=1e-5)


def places(kernel):
    """A kernel (places..., inputs, outputs) as a stack of matrices."""
    return kernel.reshape(-1, *kernel.shape[-2:])


def test_a_vision_transformer_of_google(tmp_path):
    """The names and shapes of the files of ViT: slashes, heads apart, a bias for each head, a batch of positions."""
    attention, block = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1", "Transformer/encoderblock_0"
    weights = {part: matrix(D, D) for part in ("query", "key", "value", "out")}
    embedding, positions, dense = matrix(8, 8, 3, D), matrix(65, D), matrix(D, 2 * D)
    arrays = {f"{attention}/{part}/kernel": W.reshape(D, HEADS, SIZE) for part, W in weights.items() if part != "out"}
    arrays |= {f"{attention}/{part}/bias": matrix(HEADS, SIZE) for part in ("query", "key", "value")}
    arrays |= {f"{attention}/out/kernel": weights["out"].reshape(HEADS, SIZE, D), f"{attention}/out/bias": matrix(D)}
    arrays |= {f"{block}/MlpBlock_3/Dense_0/kernel": dense, f"{block}/MlpBlock_3/Dense_0/bias": matrix(2 * D)}
    arrays |= {f"{block}/LayerNorm_0/scale": matrix(D), "cls": matrix(1, 1, D), "embedding/kernel": embedding}
    arrays |= {"embedding/bias": matrix(D), "Transformer/posembed_input/pos_embedding": positions[None]}
    np.savez(tmp_path / "vit.npz", **arrays)
    expected = {f"{attention}/{part}/kernel": W for part, W in weights.items()}
    expected |= {"embedding/kernel": places(embedding), "Transformer/posembed_input/pos_embedding": positions}
    expected |= {f"{block}/MlpBlock_3/Dense_0/kernel": dense, "cls": arrays["cls"][0]}
    assert_holds(tmp_path / "vit.npz", expected)
    reasons = dict(open_weights(tmp_path / "vit.npz").skipped)
    assert reasons[f"{attention}/query/bias"] == "a bias of several axes, not a weight"


def test_attention_of_keras():
    """`MultiHeadAttention` of Keras: query, key, value and attention_output, with the number of the output."""
    W, out = matrix(D, D), matrix(D, D)
    state = {"mha/query/kernel:0": W.reshape(D, HEADS, SIZE), "mha/query/bias:0": matrix(HEADS, SIZE)}
    state |= {"mha/attention_output/kernel:0": out.reshape(HEADS, SIZE, D), "mha/attention_output/bias:0": matrix(D)}
    assert_holds(state, {"mha/query/kernel:0": W, "mha/attention_output/kernel:0": out})


def test_queries_keys_and_values_along_an_axis():
    """A fused kernel, (inputs, 3, heads, size), is three layers; its bias tells which axes are outputs."""
    W = matrix(D, 3, D)
    state = {"attn.qkv.kernel": W.reshape(D, 3, HEADS, SIZE), "attn.qkv.bias": matrix(3, HEADS, SIZE)}
    assert_holds(state, {f"attn.qkv.kernel.{part}": W[:, i] for i, part in enumerate("qkv")})


@pytest.mark.parametrize("owner", ["out", "query", "conv"])
def test_a_convolution_over_time_is_no_attention(owner):
    """Places, inputs and outputs, with a bias for the outputs: also under a name that attention goes by."""
    kernel = matrix(3, 60, 70)
    assert_holds({f"{owner}/kernel": kernel, f"{owner}/bias": matrix(70)}, {f"{owner}/kernel": kernel})


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("conv/kernel", matrix(3, 3, 60, 70)),
        ("conv/kernel:0", matrix(3, 60, 70)),
        ("net/~/conv2_d.w", matrix(3, 3, 3, 64)),  # Haiku
        ("conv3_d.w", matrix(2, 2, 2, 60, 70)),
        ("resnet_v1/conv1/weights:0", matrix(7, 7, 3, 64)),  # TF-Slim
        ("separable/depthwise_kernel", matrix(3, 3, 60, 1)),
        ("separable/pointwise_kernel", matrix(1, 1, 60, 70)),
    ],
)
def test_kernels_end_in_inputs_and_outputs(name, kernel):
    """The places of a kernel come first, under the names that frameworks give it."""
    assert_holds({name: kernel}, {name: places(kernel)})


@pytest.mark.parametrize("name", ["conv.weight", "conv.w", "conv.weights"])
def test_weights_of_pytorch_begin_with_outputs_and_inputs(name):
    """The places of a kernel come last where the shape says so, whatever the weight is called."""
    weight = matrix(64, 60, 3, 3)
    assert_holds({name: weight}, {name.removesuffix(".weight"): weight.transpose(2, 3, 0, 1).reshape(9, 64, 60)})


@pytest.mark.parametrize(
    ("name", "grid", "table"),
    [
        ("pos_embed", (1, 12, 12, D), (144, D)),  # Segment Anything
        ("blocks.0.pos_embed", (1, 8, 20, D), (160, D)),  # not square
        ("position_embedding", (1, D, 12, 12), (D, 144)),  # the features first
        ("pos_emb", (12, 12, D), (144, D)),  # no batch
        ("pos_embed", (144, 1, D), (144, D)),  # the batch in the middle
        ("pos_embed", (1, 144, D), (144, D)),
    ],
)
def test_tables_of_positions_are_a_row_for_each_place(name, grid, table):
    """The places of an image, one after the other; the features are the axis that differs, or the largest."""
    values = matrix(*grid)
    assert_holds({name: values}, {name: values.reshape(table)})
    assert wwopt.analyze({name: values}).details["layer_type"].tolist() == ["embedding"]


@pytest.mark.parametrize(("kind", "gates"), [("lstm", "ifco"), ("gru", "zrh")])
def test_gates_of_keras_are_layers(kind, gates):
    """They lie side by side, behind the inputs."""
    kernel, recurrent = matrix(70, len(gates) * 60), matrix(60, len(gates) * 60)
    state = {f"{kind}/cell/kernel:0": kernel, f"{kind}/cell/recurrent_kernel:0": recurrent}
    cut = {f"{kind}/cell/kernel:0.{g}": part for g, part in zip(gates, np.split(kernel, len(gates), 1), strict=True)}
    cut |= {f"{kind}/cell/recurrent_kernel:0.{g}": part
            for g, part in zip(gates, np.split(recurrent, len(gates), 1), strict=True)}  # fmt: skip
    assert_holds(state, cut)
    assert set(wwopt.analyze(state).details["layer_type"]) == {kind}


def test_a_convolution_with_one_output_stays_one():
    """The weight of a layer is no table of positions, though its first axis is one."""
    weight = matrix(1, 64, 60)
    found = open_weights({"head.weight": weight}).matrices[0]
    assert (found.layer_type, found.k, found.N, found.M) == ("conv1d", 60, 64, 1)
