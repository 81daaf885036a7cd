"""GGUF: the values that llama.cpp computes with, against gguf's own writer and blocks made from the format's text."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import wwopt
from wwopt.weights import open_weights

gguf = pytest.importorskip("gguf")

from gguf import GGMLQuantizationType as Kind  # noqa: E402


def write(path, tensors, **values):
    """Write a file with gguf's own writer: arrays, or blocks with their type."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in values.items():
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "a", "ä"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(path):
    return {matrix.name: matrix.read()[0] for matrix in open_weights(path).matrices}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_file_equals_safetensors(tmp_path):
    """Values that are not quantised give what the same tensors give elsewhere, with names as they are.

    Only a GGUF file says that the second is an embedding, so the shapes are such that neither reads the other.
    """
    W, words = normal(60, 96), normal(112, 60)
    tensors = {"blk.0.ffn_up.weight": (W, None), "blk.0.ffn_up.bias": (W[0], None), "token_embd.weight": (words, None)}
    state = {name: torch.tensor(np.ascontiguousarray(data)) for name, (data, _) in tensors.items()}
    save_file(state, tmp_path / "m.safetensors")
    ours = wwopt.analyze(write(tmp_path / "m.gguf", tensors)).details
    expected = wwopt.analyze(tmp_path / "m.safetensors").details.set_index("name").loc[ours["name"]].reset_index()
    assert list(ours["layer_type"]) == ["dense", "embedding"]
    numbers = [column for column in ours if column not in ("layer_id", "layer_type")]
    assert ours[numbers].equals(expected[numbers])


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16", "TQ2_0", "MXFP4"])
def test_quantised_by_gguf(tmp_path, kind):
    """What gguf quantises is read as it dequantises it."""
    W = normal(60, 256)
    if kind == "F16":
        data, expected = W.astype(np.float16), W.astype(np.float16).astype(np.float32)
    else:
        data = gguf.quants.quantize(W, Kind[kind])
        expected = gguf.quants.dequantize(data, Kind[kind])
    found = read(write(tmp_path / "m.gguf", {"a.weight": (data, Kind[kind])}))["a"]
    np.testing.assert_array_equal(found.T, expected)


def q4_k(rng):
    """A block: 256 values in eight groups, ``d * scale * q - dmin * m``, scales and m of six bits in twelve bytes."""
    d, dmin = np.float16(0.01), np.float16(0.02)
    scales, mins = rng.integers(64, size=8), rng.integers(64, size=8)
    q = rng.integers(16, size=(8, 32))
    packed = [scales[j] | (scales[j + 4] >> 4) << 6 for j in range(4)]
    packed += [mins[j] | (mins[j + 4] >> 4) << 6 for j in range(4)]
    packed += [(scales[j + 4] & 15) | (mins[j + 4] & 15) << 4 for j in range(4)]
    nibbles = [q[2 * pair] | q[2 * pair + 1] << 4 for pair in range(4)]  # two groups share 32 bytes
    values = float(d) * scales[:, None] * q - float(dmin) * mins[:, None]
    return d.tobytes() + dmin.tobytes() + bytes(packed) + np.uint8(nibbles).tobytes(), values.ravel()


def q6_k(rng):
    """A block: 256 values in sixteen groups, ``d * scale * (q - 32)``; four low and two high bits apart."""
    d = np.float16(0.01)
    scales, q = rng.integers(-128, 128, size=16), rng.integers(64, size=(2, 4, 32))
    low = [[half[0] & 15 | (half[2] & 15) << 4, half[1] & 15 | (half[3] & 15) << 4] for half in q]
    high = [half[0] >> 4 | (half[1] >> 4) << 2 | (half[2] >> 4) << 4 | (half[3] >> 4) << 6 for half in q]
    values = float(d) * scales[:, None] * (q.reshape(16, 16) - 32)
    return np.uint8(low).tobytes() + np.uint8(high).tobytes() + np.int8(scales).tobytes() + d.tobytes(), values.ravel()


def q2_k(rng):
    """A block: 256 values in sixteen groups, ``d * scale * q - dmin * m``; scale and m in the halves of a byte."""
    d, dmin = np.float16(0.01), np.float16(0.02)
    scales, mins = rng.integers(16, size=16), rng.integers(16, size=16)
    q = rng.integers(4, size=(2, 4, 32))
    packed = [half[0] | half[1] << 2 | half[2] << 4 | half[3] << 6 for half in q]
    values = float(d) * scales[:, None] * q.reshape(16, 16) - float(dmin) * mins[:, None]
    halves = np.uint8(scales | mins << 4)
    return halves.tobytes() + np.uint8(packed).tobytes() + d.tobytes() + dmin.tobytes(), values.ravel()


def q8_0(rng):
    """A block: 32 values, ``d * q``."""
    d, q = np.float16(0.01), rng.integers(-128, 128, size=32)
    return d.tobytes() + np.int8(q).tobytes(), float(d) * q


@pytest.mark.parametrize("block", [q4_k, q6_k, q2_k, q8_0])
def test_blocks_from_the_description_of_the_format(tmp_path, block):
    """Blocks that are packed here, by the text of the format, give the values that they were packed from."""
    rng = np.random.default_rng(1)
    made = [block(rng) for _ in range(60)]
    data = np.frombuffer(b"".join(raw for raw, _ in made), np.uint8).reshape(60, -1)
    found = read(write(tmp_path / "m.gguf", {"a.weight": (data, Kind[block.__name__.upper()])}))["a"]
    expected = np.stack([values for _, values in made])
    np.testing.assert_allclose(found if found.shape == expected.shape else found.T, expected, rtol=1e-5, atol=1e-6)


def test_experts_and_fused_attention(tmp_path):
    """A stack of experts is a matrix each, of which only one is dequantised at a time; fused attention is split."""
    stack, qkv = normal(3, 60, 64), normal(96, 32)
    data = gguf.quants.quantize(stack, Kind.Q8_0)
    tensors = {
        "blk.0.ffn_up_exps.weight": (data, Kind.Q8_0),
        "blk.0.attn_qkv.weight": (qkv, None),
        "blk.0.attn_output.weight": (normal(32, 32), None),
    }
    found = read(write(tmp_path / "m.gguf", tensors))
    assert [name for name in found if "exps" in name] == [f"blk.0.ffn_up_exps.{i}" for i in range(3)]
    np.testing.assert_array_equal(found["blk.0.ffn_up_exps.1"].T, gguf.quants.dequantize(data, Kind.Q8_0)[1])
    np.testing.assert_array_equal(found["blk.0.attn_qkv.k"], qkv[32:64])


def permuted(W, heads):
    """Rows as llama.cpp's converter lays those of a Llama's queries and keys, for its rotary embedding."""
    return W.reshape(heads, 2, len(W) // heads // 2, -1).swapaxes(1, 2).reshape(W.shape)


def test_quantised_copy_of_a_llama(tmp_path):
    """A good Q8_0 copy of a model of Hugging Face matches it layer by layer, and nothing in it is a fault."""
    layers = {
        "self_attn.q_proj": ("attn_q", normal(64, 64, seed=1)),
        "self_attn.k_proj": ("attn_k", normal(32, 64, seed=2)),
        "self_attn.v_proj": ("attn_v", normal(32, 64, seed=3)),
        "self_attn.o_proj": ("attn_output", normal(64, 64, seed=4)),
        "mlp.gate_proj": ("ffn_gate", normal(96, 64, seed=5)),
        "mlp.up_proj": ("ffn_up", normal(96, 64, seed=6)),
        "mlp.down_proj": ("ffn_down", normal(64, 96, seed=7)),
    }
    original = {f"model.layers.0.{name}.weight": W for name, (_, W) in layers.items()}
    original |= {"model.embed_tokens.weight": normal(70, 64, seed=8), "lm_head.weight": normal(70, 64, seed=9)}
    original |= {"model.layers.0.input_layernorm.weight": np.ones(64, np.float32)}
    tensors = {"token_embd.weight": original["model.embed_tokens.weight"], "output.weight": original["lm_head.weight"]}
    for own, W in layers.values():
        heads = {"attn_q": 4, "attn_k": 2}.get(own)
        tensors[f"blk.0.{own}.weight"] = W if heads is None else permuted(W, heads)
    quantised = {name: (gguf.quants.quantize(W, Kind.Q8_0), Kind.Q8_0) for name, W in tensors.items()}
    quantised["blk.0.attn_norm.weight"] = (np.ones(64, np.float32), None)
    heads = {"llama.attention.head_count": 4, "llama.attention.head_count_kv": 2}
    path = write(tmp_path / "m-Q8_0.gguf", quantised, **heads)
    comparison = wwopt.compare(original, path, min_evals=10**6)
    assert comparison.ok
    assert comparison.table["distance"].dropna().between(0, 0.02).all()
    assert comparison.table["distance"].notna().sum() == len(tensors)


def test_alignment(tmp_path):
    """Values begin where the file's own alignment says."""
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(512)
    writer.add_tensor("a.weight", normal(60, 70))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.testing.assert_array_equal(read(path)["a"].T, normal(60, 70))


def test_shards(tmp_path):
    """The shards of a model are one model; the suffix does not matter to a file alone."""
    for i in (1, 2):
        write(tmp_path / f"m-{i:05}-of-00002.gguf", {f"blk.{i}.ffn_up.weight": (normal(60, 60, seed=i), None)})
    assert list(read(tmp_path)) == ["blk.1.ffn_up", "blk.2.ffn_up"]
    (tmp_path / "m-00001-of-00002.gguf").rename(tmp_path / "blob")
    assert list(read(tmp_path / "blob")) == ["blk.1.ffn_up"]
    with pytest.raises(ValueError, match="holds 1 of 2 shards; number 1 is missing"):
        open_weights(tmp_path)


def header(tensors=1, keys=0, version=3, rest=b""):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def entry(name=b"a.weight", shape=(96, 60), kind=0, start=0, dimensions=None):
    count = len(shape) if dimensions is None else dimensions
    return struct.pack(f"<Q{len(name)}sI{len(shape)}QIQ", len(name), name, count, *shape, kind, start)


FAULTS = {
    "it ends within its header": header()[:10],
    "entries cannot lie in the": header(tensors=1 << 60),
    "9223372036854775808 entries cannot lie in": header(keys=1 << 63, rest=bytes(20)),
    "it lists no tensor": header(0, rest=bytes(40)),
    "a name takes 70000 bytes": header(keys=1, rest=struct.pack("<Q", 70000) + bytes(70004)),
    "it is big-endian; convert it: `gguf-convert-endian FILE little`": header(version=3 << 24),
    "its version is 1, and only 2 and 3 are known": header(version=1),
    "has 5 dimensions": header(rest=entry(dimensions=5)),
    "lies beyond the end of the file": header(rest=entry()),
    "of shape (60, 100) is not made of blocks of 256 values (Q4_K)": header(rest=entry(shape=(100, 60), kind=12)),
    "overlap": header(2, rest=entry(shape=(2, 2)) + entry(b"b.weight", shape=(2, 2)) + bytes(64)),
    "a value has the type 99": header(keys=1, rest=struct.pack("<Q1sI", 1, b"k", 99) + bytes(20)),
    "an array has the type 9": header(keys=1, rest=struct.pack("<Q1sII", 1, b"k", 9, 9) + bytes(20)),
    "`general.alignment` is 0": header(keys=1, rest=struct.pack("<Q17sII", 17, b"general.alignment", 4, 0) + entry()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_header(tmp_path, fault):
    """A damaged header is refused in a line that names the file and the fault, before memory is taken."""
    (tmp_path / "m.gguf").write_bytes(FAULTS[fault])
    with pytest.raises(ValueError, match="is not a readable GGUF file") as raised:
        open_weights(tmp_path / "m.gguf")
    assert fault in str(raised.value)
    assert "m.gguf" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_type_skips_its_tensor(tmp_path):
    """A type that is not known leaves out its tensor, not the file."""
    rest = entry(b"new.weight", kind=99) + entry(start=64) + bytes(4 * 60 * 96 + 96)
    (tmp_path / "m.gguf").write_bytes(header(2, rest=rest))
    weights = open_weights(tmp_path / "m.gguf")
    assert [matrix.name for matrix in weights.matrices] == ["a"]
    assert weights.skipped == (("new", "not a weight: dtype 99 of GGUF, unknown"),)


def test_values_that_are_not_finite(tmp_path):
    """A signalling NaN of a damaged file is a row that says so, without a warning."""
    W = normal(60, 70)
    W.view(np.uint32)[3, 4] = 0x7FA00000
    analysis = wwopt.analyze(write(tmp_path / "m.gguf", {"table": (W, None), "a.weight": (W, None)}))
    assert set(analysis.details["status"]) == {"non-finite"}


def test_missing_extra(tmp_path, monkeypatch):
    """Without gguf, quantised weights say what to install; others are read."""
    plain = write(tmp_path / "plain.gguf", {"a.weight": (normal(60, 96), None)})
    data = gguf.quants.quantize(normal(60, 96), Kind.Q8_0)
    quantised = write(tmp_path / "m.gguf", {"a.weight": (data, Kind.Q8_0)})
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert len(open_weights(plain).matrices) == 1
    with pytest.raises(ImportError, match=r"type Q8_0, which need gguf. Run `pip install 'wwopt\[gguf\]'`"):
        open_weights(quantised)
