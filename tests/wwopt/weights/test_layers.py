"""Every kind of weight that people have, against the matrices that it holds."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import wwopt
from wwopt.weights import open_weights

EIGHT_BITS = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
GENERATOR = torch.Generator().manual_seed(0)


def random(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def matrices(source):
    """Layer name to its stack of matrices, the long side first."""
    return {matrix.name: matrix.read() for matrix in open_weights(source).matrices}


def assert_holds(source, expected):
    """The source holds these matrices under these names, in this order, and nothing else."""
    found = matrices(source)
    assert list(found) == list(expected)
    for name, matrix in expected.items():
        stack = matrix if matrix.ndim == 3 else matrix[None]
        long_first = stack if stack.shape[1] >= stack.shape[2] else stack.transpose(1, 2)
        np.testing.assert_array_equal(found[name], long_first.detach().float().numpy(), err_msg=name)


CONVOLUTIONS = [
    (nn.Conv1d(6, 8, 3), "conv1d"),
    (nn.Conv2d(6, 8, (3, 2)), "conv2d"),
    (nn.Conv3d(6, 8, (3, 2, 2)), "conv3d"),
    (nn.ConvTranspose1d(6, 8, 3), "conv_transpose1d"),
    (nn.ConvTranspose2d(6, 8, 3), "conv_transpose2d"),
    (nn.ConvTranspose3d(6, 8, 2), "conv_transpose3d"),
]


@pytest.mark.parametrize(("layer", "kind"), CONVOLUTIONS, ids=[kind for _, kind in CONVOLUTIONS])
def test_convolutions(layer, kind):
    """A convolution is a matrix for each place of its kernel."""
    model = nn.Sequential(layer)
    assert_holds(model, {"0": layer.weight.flatten(2).permute(2, 0, 1)})
    assert [matrix.layer_type for matrix in open_weights(model).matrices] == [kind]


def test_multihead_attention():
    """The fused projection of attention is three matrices; separate ones stay separate."""
    attention = nn.MultiheadAttention(8, 2)
    q, k, v = attention.in_proj_weight.chunk(3)
    expected = {"in_proj.q": q, "in_proj.k": k, "in_proj.v": v, "out_proj": attention.out_proj.weight}
    assert_holds(attention, expected)
    assert_holds(attention.state_dict(), expected)
    apart = nn.MultiheadAttention(8, 2, kdim=6, vdim=4)
    names = ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj"]
    assert list(matrices(apart)) == names


@pytest.mark.parametrize("leaf", ["qkv_proj", "qkv", "Wqkv", "to_qkv", "W_pack"])
def test_stacked_queries_keys_values(leaf):
    """q, k and v on top of each other are three matrices."""
    weight = random(24, 8)
    q, k, v = weight.chunk(3)
    assert_holds(
        {f"h.attn.{leaf}.weight": weight},
        {f"h.attn.{leaf}.{part}": m for part, m in zip("qkv", (q, k, v), strict=True)},
    )


def test_gpt2_keeps_them_side_by_side():
    """GPT-2's layers are transposed: q, k and v are columns."""
    weight = random(8, 24)
    q, k, v = weight.chunk(3, dim=1)
    assert_holds(
        {"h.0.attn.c_attn.weight": weight},
        {f"h.0.attn.c_attn.{part}": m for part, m in zip("qkv", (q, k, v), strict=True)},
    )


def test_grouped_queries():
    """With fewer keys than queries the output projection tells how many rows are queries."""
    weight, output = random(16 + 2 * 4, 12), random(12, 16)
    q, k, v = weight.split([16, 4, 4])
    source = {"a.qkv_proj.weight": weight, "a.o_proj.weight": output}
    assert_holds(source, {"a.qkv_proj.q": q, "a.qkv_proj.k": k, "a.qkv_proj.v": v, "a.o_proj": output})


def test_keys_and_values():
    """Attention to another sequence fuses keys and values only; GPT-2 keeps them side by side."""
    weight = random(24, 8)
    k, v = weight.chunk(2)
    assert_holds({"a.to_kv.weight": weight}, {"a.to_kv.k": k, "a.to_kv.v": v})
    weight = random(8, 16)
    k, v = weight.chunk(2, dim=1)
    name = "h.0.crossattention.c_attn"
    assert_holds({f"{name}.weight": weight}, {f"{name}.k": k, f"{name}.v": v})


def test_sizes_that_do_not_fit_stay_whole():
    """A tensor with a fused name whose sizes cannot be three parts is one matrix."""
    weight = random(25, 12)
    assert_holds({"a.qkv_proj.weight": weight}, {"a.qkv_proj": weight})


def test_interleaved_heads(tmp_path):
    """GPT-NeoX keeps the q, k, v of a head together; the configuration of the folder tells how many heads."""
    heads, width = 4, 3
    weight = random(heads * 3 * width, 12)
    parts = weight.reshape(heads, 3, width, 12)
    expected = {f"l.query_key_value.{part}": parts[:, i].reshape(-1, 12) for i, part in enumerate("qkv")}
    save_file({"l.query_key_value.weight": weight}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "num_attention_heads": heads}))
    assert_holds(tmp_path, expected)
    assert_holds(tmp_path / "model.safetensors", {"l.query_key_value": weight})


def test_interleaved_heads_of_a_module():
    """A model of transformers brings its configuration along."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPTNeoXConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, vocab_size=40
    )
    model = transformers.GPTNeoXModel(config)
    attention = model.layers[0].attention
    parts = attention.query_key_value.weight.reshape(4, 3, 8, 32)
    found = matrices(model)
    for i, part in enumerate("qkv"):
        np.testing.assert_array_equal(
            found[f"layers.0.attention.query_key_value.{part}"][0], parts[:, i].reshape(-1, 32).detach()
        )


RECURRENT = [
    (nn.LSTM(6, 5, 2, bidirectional=True), "ifgo"),
    (nn.GRU(6, 5), "rzn"),
    (nn.LSTMCell(6, 5), "ifgo"),
    (nn.GRUCell(6, 5), "rzn"),
    (nn.LSTM(6, 5, proj_size=3), "ifgo"),
]


@pytest.mark.parametrize(("layer", "gates"), RECURRENT, ids=["LSTM", "GRU", "LSTMCell", "GRUCell", "with projection"])
def test_recurrent_gates(layer, gates):
    """Each gate of a recurrent layer is a matrix."""
    expected = {}
    for name, weight in layer.named_parameters():
        if weight.ndim == 2:
            parts = [weight] if "hr" in name else weight.chunk(len(gates))
            expected |= {f"{name}.{gate}": part for gate, part in zip(gates, parts, strict=False) if len(parts) > 1}
            expected |= {name: weight} if len(parts) == 1 else {}
    for source in (layer, layer.state_dict()):
        assert_holds(source, expected)
    kinds = {matrix.layer_type for matrix in open_weights(layer).matrices if "hr" not in matrix.name}
    assert kinds == {"lstm" if gates == "ifgo" else "gru"}


def test_plain_recurrence_is_whole():
    """A recurrent layer without gates is one matrix for each weight."""
    layer = nn.RNN(6, 5)
    assert_holds(layer, {"weight_ih_l0": layer.weight_ih_l0, "weight_hh_l0": layer.weight_hh_l0})


def test_stacked_experts():
    """The experts of a mixture are a matrix each, gate and up apart where they are fused."""
    gate_up, down = random(3, 20, 12), random(3, 12, 10)
    expected = {}
    for i in range(3):
        expected |= {
            f"mlp.experts.gate_up_proj.{i}.gate": gate_up[i, :10],
            f"mlp.experts.gate_up_proj.{i}.up": gate_up[i, 10:],
        }
    expected |= {f"mlp.experts.down_proj.{i}": down[i] for i in range(3)}
    source = {"mlp.experts.gate_up_proj": gate_up, "mlp.experts.down_proj": down}
    assert_holds(source, expected)


def test_alternating_experts(tmp_path):
    """gpt-oss alternates gate and up along the last axis; the file's experts are read one at a time."""
    gate_up, down = random(2, 12, 20), random(2, 10, 12)
    expected = {}
    for i in range(2):
        expected |= {
            f"experts.gate_up_proj.{i}.gate": gate_up[i, :, ::2],
            f"experts.gate_up_proj.{i}.up": gate_up[i, :, 1::2],
        }
    expected |= {f"experts.down_proj.{i}": down[i] for i in range(2)}
    source = {"experts.gate_up_proj": gate_up, "experts.gate_up_proj_bias": random(2, 20), "experts.down_proj": down}
    found = matrices(source)
    for name, matrix in expected.items():
        np.testing.assert_array_equal(found[name][0], matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T)


@pytest.mark.parametrize("name", ["block_sparse_moe.input_linear", "mlp.experts.w1", "ffn.experts_w1", "moe.w1"])
def test_experts_under_other_names(name):
    """A stack of three dimensions in a mixture of experts is a matrix for each expert."""
    weight = random(3, 20, 12)
    assert_holds({f"{name}.weight": weight}, {f"{name}.{i}": weight[i] for i in range(3)})


def test_biases_of_experts_are_no_weights():
    """The stacked biases of experts have two dimensions, and are listed."""
    weights = open_weights({"experts.down_proj": random(3, 12, 10), "experts.down_proj_bias": random(3, 12)})
    assert weights.skipped == (("experts.down_proj_bias", "a bias for each expert, not a weight"),)


def test_fused_gate_and_up():
    """Phi's fused gate and up projections are two matrices."""
    weight = random(20, 8)
    assert_holds(
        {"mlp.gate_up_proj.weight": weight}, {"mlp.gate_up_proj.gate": weight[:10], "mlp.gate_up_proj.up": weight[10:]}
    )


def test_bilinear():
    """A bilinear layer is a matrix for each output."""
    layer = nn.Bilinear(7, 6, 3)
    assert_holds(layer, {"weight": layer.weight})


def test_positions_are_a_table():
    """A table of positions with a batch axis of one is a matrix; a single token is a vector and passed over."""
    table = random(1, 20, 8)
    analysis = open_weights({"pos_embed": table, "cls_token": random(1, 1, 8)})
    assert [(m.name, m.layer_type, m.N, m.M) for m in analysis.matrices[:1]] == [("pos_embed", "embedding", 20, 8)]


REPARAMETRIZED = {
    "weight norm": nn.utils.parametrizations.weight_norm,
    "weight norm by columns": lambda layer: nn.utils.parametrizations.weight_norm(layer, dim=1),
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "weight norm, old": nn.utils.weight_norm,
    "spectral norm, old": nn.utils.spectral_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")  # the old one is what is tested
@pytest.mark.parametrize("name", REPARAMETRIZED)
@pytest.mark.parametrize("make", [lambda: nn.Linear(7, 9), lambda: nn.Conv2d(4, 6, 3)], ids=["dense", "conv"])
def test_reparametrized_weights_take_effect(name, make, tmp_path):
    """Weight norm and spectral norm give the weight that the layer uses, from the module and from its file."""
    layer = REPARAMETRIZED[name](make()).eval()
    layer(torch.ones(2, 7) if isinstance(layer, nn.Linear) else torch.ones(2, 4, 5, 5))
    model = nn.Sequential(layer)
    expected = (
        layer.weight.detach().flatten(2).permute(2, 0, 1) if layer.weight.ndim == 4 else layer.weight.detach()[None]
    )
    expected = expected if expected.shape[1] >= expected.shape[2] else expected.transpose(1, 2)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    for source in (model, model.state_dict(), tmp_path / "m.pt"):
        found = matrices(source)
        assert list(found) == ["0"]
        np.testing.assert_allclose(found["0"], expected, rtol=1e-5, atol=1e-7)


def test_other_parametrizations(tmp_path):
    """A module knows the weight of any parametrisation, and none changes its state; a file lists it with the reason."""
    model = nn.Sequential(
        nn.utils.parametrizations.orthogonal(nn.Linear(8, 8)), nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))
    )
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    np.testing.assert_allclose(matrices(model)["0"][0], model[0].weight.detach().numpy(), atol=1e-6)
    model.load_state_dict(before)
    wwopt.analyze(model, min_evals=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    skipped = dict(open_weights(before).skipped)
    assert "only the model's code knows the weight" in skipped["0"]
    assert skipped["0.parametrizations.weight.0.base"] == "belongs to a parametrization"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, *EIGHT_BITS])
def test_every_float_type(dtype, tmp_path):
    """All float types are read exactly: from memory, from safetensors and from pickles."""
    weight = random(40, 30).to(dtype)
    expected = {"a": weight.double()}
    torch.save({"a.weight": weight}, tmp_path / "m.pt")
    sources = [{"a.weight": weight}, tmp_path / "m.pt"]
    with suppress(KeyError):  # safetensors 0.5 cannot write them all
        save_file({"a.weight": weight}, tmp_path / "m.safetensors")
        sources.append(tmp_path / "m.safetensors")
    for source in sources:
        np.testing.assert_array_equal(matrices(source)["a"][0], expected["a"])


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
)
def test_all_values_of_eight_bits(dtype):
    """All 256 values of each format are torch's, infinities, NaN and negative zero included."""
    from wwopt.weights.tensors.dtypes import decode

    bits = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(bits).view(dtype).float().numpy()
    ours = decode(bits, str(dtype).removeprefix("torch."))
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(np.signbit(ours), np.signbit(expected) & ~np.isnan(expected))


SKIPPED = {
    "int8.weight": (torch.ones(60, 60, dtype=torch.int8), "not a weight: dtype int8"),
    "complex.weight": (torch.ones(60, 60, dtype=torch.complex64), "not a weight: dtype complex64"),
    "mask.bool": (torch.ones(60, 60, dtype=torch.bool), "not a weight: dtype bool"),
    "attn_mask": (torch.zeros(4, 49, 49), "a mask, not a weight"),
    "empty.weight": (torch.zeros(0, 60), "empty, shape (0, 60)"),
    "six": (torch.zeros(2, 2, 2, 2, 2, 2), "6 dimensions; layers of up to 5 are known"),
    "meta.weight": (torch.zeros(60, 60, device="meta"), "on the meta device, without values"),
    "module._flat_param": (torch.zeros(100), "flattened by FSDP; gather a full state dict and analyse that"),
}


def test_nothing_disappears():
    """What holds no weight matrix is listed with its reason."""
    weights = open_weights({name: tensor for name, (tensor, _) in SKIPPED.items()})
    assert weights.matrices == ()
    expected = {name.removeprefix("module.").removesuffix(".weight"): reason for name, (_, reason) in SKIPPED.items()}
    assert dict(weights.skipped) == expected


def test_sparse_tensors_are_listed():
    """A tensor that is not a plain block of numbers is listed with what it is."""
    weights = open_weights({"s.weight": torch.ones(60, 60).to_sparse()})
    assert dict(weights.skipped) == {"s": "of layout sparse_coo"}


class TestLora:
    """Adapters of LoRA."""

    @pytest.fixture
    def adapter(self, tmp_path):
        """Two adapted layers, one saved whole, and the products B A."""
        A, B = random(6, 90).double(), random(70, 6).double()
        prefix = "base_model.model.model.layers.0"
        tensors = {
            f"{prefix}.q.lora_A.weight": A,
            f"{prefix}.q.lora_B.weight": B,
            f"{prefix}.lm_head.weight": random(60, 80),
        }
        save_file(tensors, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path)
        return tmp_path, B @ A

    @staticmethod
    def configure(folder, **changes):
        config = {"peft_type": "LORA", "r": 6, "lora_alpha": 12, **changes}
        (folder / "adapter_config.json").write_text(json.dumps(config))

    def test_spectrum_is_that_of_the_product(self, adapter):
        """The eigenvalues are those of ``(alpha / r) B A`` that are not zero; the product is never formed."""
        folder, product = adapter
        analysis = wwopt.analyze(folder, min_evals=6)
        expected = np.linalg.svd(2 * product, compute_uv=False)[:6] ** 2
        spectrum = analysis.spectra["base_model.model.model.layers.0.q".removeprefix("base_model.model.")]
        np.testing.assert_allclose(spectrum, np.sort(expected), rtol=1e-10)
        row = analysis.details.set_index("name").loc["model.layers.0.q"]
        assert row[["layer_type", "N", "M", "num_evals", "matrix_rank"]].tolist() == ["lora", 90, 70, 6, 6]
        assert row[["rand_distance", "mp_softrank", "num_spikes", "num_traps"]].isna().all()
        assert open_weights(folder).matrices[0].read().shape == (1, 6, 6)

    @pytest.mark.parametrize(
        ("changes", "scale"),
        [({"use_rslora": True}, 12 / 6**0.5), ({"alpha_pattern": {"layers.0.q": 3}}, 0.5), ({"lora_alpha": None}, 1.0)],
    )
    def test_scale(self, adapter, changes, scale):
        """Rank stabilisation, patterns and a missing alpha set the scale as PEFT does."""
        folder, _ = adapter
        self.configure(folder, **changes)
        assert open_weights(folder).matrices[0].scale == pytest.approx(scale)

    @pytest.mark.parametrize(
        ("pattern", "scale"),
        [(r"layers\.\d\.q", 0.5), ("q", 0.5), ("(a+)+", 2.0), (".*.*.*.*.*x", 2.0), ("ayers.0.q", 2.0)],
    )
    def test_patterns(self, adapter, pattern, scale):
        """A pattern means whole parts of a name; one that could be matched forever means none."""
        folder, _ = adapter
        self.configure(folder, alpha_pattern={pattern: 3})
        assert open_weights(folder).matrices[0].scale == pytest.approx(scale)

    def test_convolution(self, tmp_path):
        """An adapted convolution has a product for each place of its kernel."""
        A, B = random(4, 6, 3, 3).double(), random(8, 4, 1, 1).double()
        save_file({"c.lora_A.weight": A, "c.lora_B.weight": B}, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path, r=4, lora_alpha=8)
        spectrum = wwopt.analyze(tmp_path, min_evals=2).spectra["c"]
        kernel = 2 * torch.einsum("orxy,rihw->oihw", B, A)
        whole = wwopt.analyze({"c": kernel}, min_evals=2).spectra["c"]
        np.testing.assert_allclose(spectrum, whole[-9 * 4 :], rtol=1e-9)

    def test_saved_modules_are_whole(self, adapter):
        """A module that was trained whole beside the adapter is a layer as any other."""
        folder, _ = adapter
        whole = open_weights(folder).matrices[1]
        assert (whole.layer_type, whole.N, whole.M, whole.rank) == ("dense", 80, 60, None)

    def test_dora_is_no_product(self, tmp_path):
        """What DoRA changes depends on the base: such layers are left out, and nothing is scored."""
        names = {"lora_A.weight": (6, 90), "lora_B.weight": (70, 6), "lora_magnitude_vector": (70,)}
        tensors = {f"base_model.model.q.{name}": random(*shape) for name, shape in names.items()}
        save_file(tensors, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path, use_dora=True)
        ((name, reason),) = open_weights(tmp_path).skipped
        assert name == "q"
        assert reason.startswith("adapted by DoRA")
        with pytest.raises(ValueError, match="No layer was measured: q: adapted by DoRA"):
            wwopt.AlphaScore()(wwopt.analyze(tmp_path))

    def test_missing_factor_is_listed(self, tmp_path):
        """A factor without the other is listed."""
        save_file({"base_model.model.q.lora_A.weight": random(6, 90)}, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path)
        assert open_weights(tmp_path).skipped == (("q", "the factor B is missing"),)

    def test_factors_that_do_not_fit_are_listed(self, tmp_path):
        """Factors that are no product are listed with their shapes."""
        tensors = {"q.lora_A.weight": random(6, 90), "q.lora_B.weight": random(70, 5)}
        save_file(tensors, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path)
        assert "no product of matrices" in open_weights(tmp_path).skipped[0][1]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"peft_type": "IA3"}', "only LORA can be analysed"),
            ("{", "not a readable adapter"),
            ("{}", "not a readable adapter"),
            ('{"peft_type": "LORA", "lora_alpha": "much"}', "not a readable adapter"),
            ('{"peft_type": "LORA", "alpha_pattern": {"(": 3}}', "not a readable adapter"),
            ('{"peft_type": "LORA", "alpha_pattern": [3]}', "not a readable adapter"),
        ],
    )
    def test_other_adapters(self, tmp_path, content, message):
        """Other kinds of adapters, and damaged configurations, say so."""
        (tmp_path / "adapter_config.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            open_weights(tmp_path)

    def test_adapter_without_weights(self, tmp_path):
        """A configuration alone says what is missing."""
        self.configure(tmp_path)
        with pytest.raises(ValueError, match="is an adapter without weights"):
            open_weights(tmp_path)

    def test_non_finite_factor_is_a_row(self, tmp_path):
        """A factor that is not finite makes a row that says so."""
        A = random(6, 90)
        A[0, 0] = torch.nan
        save_file({"q.lora_A.weight": A, "q.lora_B.weight": random(70, 6)}, tmp_path / "adapter_model.safetensors")
        self.configure(tmp_path)
        assert list(wwopt.analyze(tmp_path, min_evals=2).details["status"]) == ["non-finite"]
