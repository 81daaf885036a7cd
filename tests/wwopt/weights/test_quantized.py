"""Quantised weights: each format gives the matrix that its program computes with, and its scales are no layers."""

from __future__ import annotations

import json
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import wwopt
from tests.support import quantized_copies as copies
from wwopt.weights import open_weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantiz:UserWarning")

W = copies.heavy_tailed(192, 128)
TWO_GROUPS = np.random.default_rng(0).permutation(np.arange(128) // 64)

FORMATS = {
    "fp8, tensor": lambda: copies.fp8(W),
    "fp8, tensor, as ComfyUI names it": lambda: copies.fp8(W, leaf="scale_weight"),
    "fp8, tensor, as ModelOpt names it": lambda: copies.fp8(W, leaf="weights_scaling_factor"),
    "fp8, rows": lambda: copies.fp8(W, blocks=(1, 128)),
    "fp8, rows, a vector": lambda: copies.fp8(W, blocks=(1, 128), flat=True),
    "fp8, blocks, as DeepSeek names it": lambda: copies.fp8(W, blocks=(128, 128), leaf="weight_scale_inv"),
    "fp8, blocks, as DeepSeek converts it": lambda: copies.fp8(W, blocks=(64, 64), leaf="scale"),
    "fp8 e5m2": lambda: copies.fp8(W, kind="e5m2", blocks=(1, 128)),
    **{f"GPTQ, {bits} bits": lambda bits=bits: copies.gptq(W, bits=bits) for bits in (2, 3, 4, 8)},
    "GPTQ, asymmetric": lambda: copies.gptq(W, symmetric=False),
    "GPTQ, second format": lambda: copies.gptq(W, version=2),
    "GPTQ, second format, asymmetric": lambda: copies.gptq(W, version=2, symmetric=False),
    "GPTQ, groups in another order": lambda: copies.gptq(W, order=TWO_GROUPS),
    "AWQ": lambda: copies.awq(W),
    "AWQ, groups of 32": lambda: copies.awq(W, group=32),
    **{f"MLX, {bits} bits": lambda bits=bits: copies.mlx(W, bits=bits) for bits in (2, 3, 4, 6, 8)},
    "compressed-tensors, 4 bits": lambda: copies.compressed(W),
    "compressed-tensors, 4 bits, asymmetric": lambda: copies.compressed(W, symmetric=False),
    "compressed-tensors, 4 bits, rows": lambda: copies.compressed(W, strategy="channel", symmetric=False),
    "compressed-tensors, 3 bits": lambda: copies.compressed(W, bits=3),
    "compressed-tensors, int8, rows": lambda: copies.compressed(W, bits=8, strategy="channel"),
    "compressed-tensors, int8, asymmetric": lambda: copies.compressed(W, bits=8, strategy="channel", symmetric=False),
    "compressed-tensors, int8, tensor": lambda: copies.compressed(W, bits=8, strategy="tensor"),
    "compressed-tensors, fp8, rows": lambda: copies.compressed(W, bits=8, kind="float", strategy="channel"),
    "compressed-tensors, fp8, blocks": lambda: copies.compressed(
        W, bits=8, kind="float", strategy="block", block=[64, 64]
    ),
    "bitsandbytes nf4": lambda: copies.nf4(W),
    "bitsandbytes nf4, twice": lambda: copies.nf4(W, double=True),
    "bitsandbytes nf4 in bfloat16": lambda: copies.nf4(W, storage=torch.bfloat16),
    "bitsandbytes fp4": lambda: copies.nf4(W, kind="fp4"),
    "bitsandbytes int8": lambda: copies.llm_int8(W),
    "MXFP4 of compressed-tensors": lambda: copies.mxfp4_rows(W),
    "MXFP8": lambda: copies.mxfp8(W),
    "NVFP4 of ModelOpt": lambda: copies.nvfp4(W),
    "NVFP4 of compressed-tensors": lambda: copies.nvfp4(W, modelopt=False),
}


def weight(source, name="l"):
    """The matrix of a layer as it is stored, which is the only one."""
    weights = open_weights(source)
    assert [matrix.name for matrix in weights.matrices] == [name]
    assert all("quantised weight" in reason for _, reason in weights.skipped), weights.skipped
    assert not weights.vectors
    values = weights.matrices[0].read()[0]
    return values.T if weights.matrices[0].transposed else values


@pytest.mark.parametrize("form", FORMATS)
def test_the_weight_is_what_its_program_computes_with(form, tmp_path):
    """In memory and in a file; every tensor beside the codes is listed as a part of the weight, and as nothing else."""
    tensors, true = FORMATS[form]()
    save_file(tensors, tmp_path / "model.safetensors")
    for source in (tensors, tmp_path / "model.safetensors"):
        np.testing.assert_allclose(weight(source), true, rtol=1e-6, atol=1e-9)
        skipped = dict(open_weights(source).skipped)
        assert set(skipped) == {name for name in tensors if name not in ("l.weight", "l.qweight", "l.weight_packed")}


def test_another_process_reads_its_own_layers(tmp_path):
    """What is sent to it is where the codes lie, of a file, or the codes."""
    tensors, true = copies.gptq(W, order=TWO_GROUPS)
    save_file(tensors, tmp_path / "model.safetensors")
    for source in (tensors, tmp_path / "model.safetensors"):
        sent = pickle.dumps(open_weights(source).matrices[0].read)
        assert len(sent) < (4000 if source is not tensors else W.nbytes)
        np.testing.assert_allclose(pickle.loads(sent)()[0], true, rtol=1e-6)


def test_alpha_of_a_quantised_copy_is_that_of_the_original(tmp_path):
    """To what eight bits lose; without the scales of its rows, alpha would be another."""
    true = wwopt.analyze({"l.weight": W}).details["alpha"][0]
    tensors, _ = copies.fp8(W, blocks=(1, 128))
    save_file(tensors, tmp_path / "fp8.safetensors")
    assert wwopt.analyze(tmp_path / "fp8.safetensors").details["alpha"][0] == pytest.approx(true, abs=0.02)
    bare = wwopt.analyze({"l.weight": tensors["l.weight"].float()}).details["alpha"][0]
    assert abs(bare - true) > 0.2


def test_bare_codes_are_left_out_and_plain_fp8_is_read():
    """Codes go up to the largest number of their type, which weights that were only rounded never do."""
    for kind in ("e4m3fn", "e5m2"):
        codes = copies.fp8(W, kind=kind, blocks=(1, 128))[0]["l.weight"]
        assert open_weights({"l.weight": codes}).skipped[0][1].startswith("quantized to FP8")
        plain = torch.tensor(W).to(codes.dtype)
        np.testing.assert_array_equal(weight({"l.weight": plain}), plain.float().numpy())


def test_formats_that_are_not_read_are_called_by_their_names():
    """What lies beside their codes is no layer."""
    packed, scales = torch.arange(64 * 64).reshape(64, 64), torch.rand(64, 64)
    for name, tensors in {
        "HQQ": {"l.W_q": packed.to(torch.uint8), "l.scale": scales, "l.zero": scales},
        "AQLM": {"l.codes": packed.to(torch.int8), "l.codebooks": scales[None, :, None], "l.scales": scales[..., None]},
        "EETQ": {"l.weight": packed.to(torch.int8), "l.weight_scales": scales[0]},
    }.items():
        weights = open_weights(tensors)
        assert not weights.matrices
        assert not weights.vectors
        assert f"in the format of {name}, which is not read" in dict(weights.skipped)["l"]


def test_experts_of_mxfp4_are_those_of_transformers():
    """Each expert is a layer of its own, as in the model that is not quantised, and is decoded alone."""
    convert = pytest.importorskip("transformers.integrations.mxfp4").convert_moe_packed_tensors
    stack = np.stack([copies.heavy_tailed(96, 64, seed) for seed in (1, 2)])
    blocks, scales, decoded = copies.mxfp4(stack)
    blocks = blocks.reshape(2, 96, 2, 16)
    true = convert(blocks, scales, dtype=torch.float32).numpy()
    np.testing.assert_array_equal(true.swapaxes(1, 2), decoded)
    names = ("mlp.experts.down_proj_blocks", "mlp.experts.down_proj_scales")
    weights = open_weights(dict(zip(names, (blocks, scales), strict=True)))
    assert [(matrix.name, matrix.N, matrix.M) for matrix in weights.matrices] == [
        ("mlp.experts.down_proj.0", 96, 64),
        ("mlp.experts.down_proj.1", 96, 64),
    ]
    for matrix, expert in zip(weights.matrices, true, strict=True):
        np.testing.assert_array_equal(matrix.read()[0], expert.T if matrix.transposed else expert)


def test_experts_in_fp8_have_scales_behind_their_names():
    """A stack of kernels is named by itself, and so are its scales."""
    stack = np.stack([copies.heavy_tailed(64, 128, seed) for seed in (1, 2)])
    parts = [copies.fp8(expert, blocks=(32, 32)) for expert in stack]
    weights = open_weights(
        {
            "experts.up_proj": torch.stack([tensors["l.weight"].view(torch.uint8) for tensors, _ in parts]).view(
                torch.float8_e4m3fn
            ),
            "experts.up_proj_scale_inv": torch.stack([tensors["l.weight_scale"] for tensors, _ in parts]),
        }
    )
    assert [matrix.name for matrix in weights.matrices] == ["experts.up_proj.0", "experts.up_proj.1"]
    for matrix, (_, true) in zip(weights.matrices, parts, strict=True):
        np.testing.assert_allclose(matrix.read()[0], true.T if matrix.transposed else true, rtol=1e-6)


def test_live_layers_of_bitsandbytes_are_read_as_their_state_dicts():
    """The states of four-bit weights and the scales of eight-bit ones are attributes of the parameters."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    plain = nn.Linear(128, 192)
    four = bitsandbytes.nn.Linear4bit(128, 192, quant_type="nf4", compress_statistics=True)
    four.load_state_dict(plain.state_dict())
    eight = bitsandbytes.nn.Linear8bitLt(128, 192, has_fp16_weights=False)
    eight.load_state_dict(plain.state_dict())
    for layer, loss in ((four.to("cpu"), 0.1), (eight.to("cpu"), 0.01)):
        live, stored = (open_weights(source).matrices[0].read()[0] for source in (layer, layer.state_dict()))
        np.testing.assert_array_equal(live, stored)
        true = plain.weight.detach().numpy()
        assert np.linalg.norm(live - true) <= loss * np.linalg.norm(true)


def quantized_by_torch():
    """A dynamic model, and one of a convolution and a layer whose inputs are quantised too; with their true weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear = nn.Sequential(nn.Linear(80, 60), nn.ReLU(), nn.Linear(60, 70))
        dynamic = torch.ao.quantization.quantize_dynamic(linear, {nn.Linear}, dtype=torch.qint8)
        stub, back = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        static = nn.Sequential(stub, nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 60), back).eval()
        static.qconfig = torch.ao.quantization.get_default_qconfig("x86")
        prepared = torch.ao.quantization.prepare(static)
        prepared(torch.randn(2, 12, 4, 4))
        static = torch.ao.quantization.convert(prepared)
        recurrent = nn.Sequential(nn.LSTM(32, 32))
        recurrent = torch.ao.quantization.quantize_dynamic(recurrent, {nn.LSTM}, dtype=torch.qint8)
    return {
        "dynamic": (dynamic, {"0": dynamic[0].weight(), "2": dynamic[2].weight()}),
        "static": (static, {"1": static[1].weight(), "4": static[4].weight()}),
        "recurrent": (recurrent, recurrent[0].get_weight()),
    }


@pytest.mark.parametrize("kind", ["dynamic", "static", "recurrent"])
def test_models_that_torch_quantised_are_read(kind, tmp_path):
    """In memory, as state dicts, as pickled modules and in TorchScript: weights and biases without their packing."""
    model, true = quantized_by_torch()[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(model.state_dict(), tmp_path / "state.pt")
        torch.save(model, tmp_path / "module.pt")
        example = torch.randn(2, 12, 4, 4)
        script = torch.jit.trace(model, example) if kind == "static" else torch.jit.script(model)
        script.save(tmp_path / "script.pt")
        files = [tmp_path / name for name in ("state.pt", "module.pt", "script.pt")]
        opened = [open_weights(source) for source in (model, model.state_dict(), *files)]
    total = {name: float(weight.dequantize().abs().sum()) for name, weight in true.items()}
    for weights in opened:
        sums: dict[str, float] = {}
        for matrix in weights.matrices:
            name = matrix.tensor.removesuffix(".weight").removeprefix("0." if kind == "recurrent" else "")
            sums[name] = sums.get(name, 0) + float(np.abs(matrix.read()).sum(dtype=np.float64))
        assert sums == pytest.approx(total, rel=1e-5)
        assert not weights.skipped
        biases = [vector.name for _, vector in weights.vectors if vector.name.endswith(".bias")]
        assert biases == {"dynamic": ["0.bias", "2.bias"], "static": ["1.bias", "4.bias"], "recurrent": []}[kind]


def test_a_quantised_tensor_of_torch_is_read():
    """With one scale, and with one for each row."""
    values = torch.randn(60, 70)
    rows = torch.quantize_per_channel(values, values.abs().amax(1) / 127, torch.zeros(60).long(), 0, torch.qint8)
    whole = torch.quantize_per_tensor(values, 0.05, 3, torch.quint8)
    for tensor in (rows, whole):
        np.testing.assert_array_equal(weight({"l.weight": tensor}), tensor.dequantize().numpy())


BROKEN = {
    "missing": ("weight_scale", None, "its scales are missing"),
    "of the wrong shape": ("weight_scale", torch.ones(7, 1), r"'a.weight_scale' of shape \(7, 1\) does not fit"),
    "with rows and columns exchanged": ("weight_scale", torch.ones(1, 2), r"of shape \(1, 2\) does not fit"),
    "missing in GPTQ": ("scales", None, "without its scales: 'a.scales' is missing"),
    "of the wrong shape in GPTQ": ("scales", torch.ones(2, 100).half(), r"'a.scales' of shape \(2, 100\) does not fit"),
    "missing in nf4": ("weight.absmax", None, "without its scales: 'a.weight.absmax' is missing"),
    "short in nf4": ("weight.absmax", torch.ones(100), r"'a.weight.absmax' of shape \(100,\) does not fit"),
    "a state that is none": (
        "weight.quant_state.bitsandbytes__nf4",
        torch.zeros(4, dtype=torch.uint8),
        "is not readable",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_scales_that_do_not_fit_leave_their_weight_out_and_say_why(fault, tmp_path):
    """One line with the tensor, the file and the way out; the other layers are analysed, and no scale is a layer."""
    leaf, value, reason = BROKEN[fault]
    kind = copies.gptq if "GPTQ" in fault else copies.nf4 if "nf4" in fault or "state" in fault else copies.fp8
    tensors = {**kind(W, "a")[0], **kind(W, "b")[0]}
    tensors.pop(f"a.{leaf}")
    tensors |= {} if value is None else {f"a.{leaf}": value}
    save_file(tensors, tmp_path / "broken.safetensors")
    analysis = wwopt.analyze(tmp_path / "broken.safetensors")
    assert analysis.details["name"].tolist() == ["b"]
    said = analysis.skipped.set_index("name")["reason"]["a"]
    assert "\n" not in said
    assert re.search(reason, said)
    assert "broken.safetensors" in said
    assert "Download" in said


def test_groups_out_of_range_are_an_error_that_names_the_layer():
    """They are read with the weight, and never index anything else."""
    tensors, _ = copies.gptq(W, order=TWO_GROUPS)
    tensors["l.g_idx"][3] = 9
    with pytest.raises(ValueError, match=r"The layer l.weight names groups of scales from 0 to 9, of which it has 2"):
        wwopt.analyze(tensors)


def test_codes_that_are_all_the_same_are_no_layer_but_a_fault():
    """Their values were never written, as where a download left a hole; scales would make a matrix of them."""
    tensors, _ = copies.gptq(W)
    tensors["l.qweight"] = torch.zeros_like(tensors["l.qweight"])
    analysis = wwopt.analyze({"first.weight": torch.tensor(W), **tensors})
    assert analysis.details["name"].tolist() == ["first"]
    assert analysis.faults[["name", "kind"]].to_numpy().tolist() == [["l", "zero"]]


def test_a_float4_tensor_is_left_out_and_not_its_file(tmp_path):
    """A type that is not known is a reason to skip its tensor."""
    packed = torch.zeros(60, 30, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    torch.save({"a.weight": packed, "b.weight": torch.randn(60, 60)}, tmp_path / "model.pt")
    analysis = wwopt.analyze(tmp_path / "model.pt")
    assert analysis.details["name"].tolist() == ["b"]
    assert analysis.skipped.to_numpy().tolist() == [["a", "not a weight: dtype float4_e2m1fn_x2"]]


def test_the_configuration_tells_what_the_tensors_do_not(tmp_path):
    """Blocks of 96 fit as well as 128 where there are two of them; the tensors win where both tell."""
    V = copies.heavy_tailed(192, 192)
    tensors, true = copies.fp8(V, blocks=(96, 96), leaf="weight_scale_inv")
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [96, 96]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for source in (tmp_path, tmp_path / "model.safetensors"):
        np.testing.assert_allclose(weight(source), true, rtol=1e-6)
    tensors, true = copies.gptq(W, bits=8)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    np.testing.assert_allclose(weight(tmp_path), true, rtol=1e-6)


def test_the_version_of_gptq_is_told_beside_the_weights(tmp_path):
    """By the file that its programs write, where its zero points are not those of symmetric codes."""
    V = np.abs(W)  # whose mean is not 0, so that the values do not tell
    tensors, true = copies.gptq(V, symmetric=False, version=1)
    second = copies.gptq(V, symmetric=False, version=2)[0]
    for version, stored in (("gptq", tensors), ("gptq_v2", second)):
        save_file(stored, tmp_path / "model.safetensors")
        settings = {"bits": 4, "group_size": 64, "checkpoint_format": version}
        (tmp_path / "quantize_config.json").write_text(json.dumps(settings))
        np.testing.assert_allclose(weight(tmp_path / "model.safetensors"), true, rtol=1e-6)


def test_ordinary_integers_are_still_no_weights():
    """A table of indices has no scales beside it."""
    weights = open_weights({"fc.weight": torch.randn(60, 60), "relative_position_index": torch.ones(49, 49).int()})
    assert [matrix.name for matrix in weights.matrices] == ["fc"]
    assert dict(weights.skipped) == {"relative_position_index": "not a weight: dtype int32"}


def test_a_model_without_any_readable_scale_is_not_measured():
    """The reason is that of its weights, not of what lies beside them."""
    tensors, _ = copies.gptq(W)
    tensors.pop("l.scales")
    with pytest.raises(
        ValueError, match=r"No layer was measured: l: quantized, and without its scales: 'l.scales' is m"
    ):
        wwopt.AlphaScore()(wwopt.analyze(tensors))
