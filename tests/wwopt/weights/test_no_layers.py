"""Tensors of two dimensions that are no layer, and layers that hold no tensor: both are listed with the reason."""

from __future__ import annotations

import math

import pytest

import wwopt

torch = pytest.importorskip("torch")
nn = torch.nn
prune = pytest.importorskip("torch.nn.utils.prune")
torch.manual_seed(0)


def test_a_normalisation_over_several_axes_is_no_layer(tmp_path):
    """Its gain is one matrix of ones, its bias one of zeros: no layer of rank one, and none of zeros."""
    model = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 32, 32]), nn.Flatten(), nn.Linear(256, 100))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    for source in (model, model.state_dict(), tmp_path / "model.pt"):
        analysis = wwopt.analyze(source)
        assert analysis.details["name"].tolist() == ["0", "3"]
        assert analysis.skipped["name"].tolist() == ["1", "1.bias"]
        assert analysis.faults.empty
        assert not [finding for finding in analysis.findings if finding.severity == "broken"]


def test_a_model_without_values_is_not_measured():
    """On the meta device there is nothing to measure."""
    with pytest.raises(ValueError, match=r"No layer was measured: weight: on the meta device.* Load the weights"):
        wwopt.AlphaScore()(wwopt.analyze(nn.Linear(64, 64, device="meta")))


def sinusoids(positions, features):
    """The table of Vaswani et al. (2017): sines beside cosines."""
    angles = torch.arange(float(positions))[:, None] * 1e4 ** (-torch.arange(0, features, 2) / features)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def on_a_grid(side, features):
    """Sinusoids of an image's rows beside those of its columns, behind a class token, as masked autoencoders do."""
    along = sinusoids(side, features // 2)
    places = torch.cat([along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)], dim=2)
    return torch.cat([torch.zeros(1, features), places.reshape(side * side, features)])[None]


def fourier_basis(size):
    """A short-time Fourier transform as a convolution: real parts above imaginary ones, in Hann's window."""
    angles = 2 * math.pi * torch.arange(size // 2 + 1.0)[:, None] * torch.arange(float(size)) / size
    return (torch.cat([angles.cos(), -angles.sin()]) * torch.hann_window(size))[:, None]


def triangles(frequencies, filters):
    """A bank of triangular filters, which widen as they rise."""
    places, widths = torch.linspace(4, frequencies - 10, filters), 3 + torch.arange(filters) / 8
    return torch.clamp(1 - (torch.arange(float(frequencies))[:, None] - places).abs() / widths, min=0)


def unit(*shape):
    return nn.functional.normalize(torch.randn(*shape), dim=0)


NO_WEIGHTS = {
    "h.0.attn.bias": (torch.tril(torch.ones(64, 64))[None, None], "a causal mask"),  # GPT-2
    "head.tril": (torch.tril(torch.ones(64, 64)), "a mask"),
    "blocks.0.attention": (torch.tril(torch.ones(64, 64)).log(), "a mask by its values"),
    "layers.0.attn_mask": (-100.0 * (torch.rand(4, 60, 60) > 0.5), "a mask"),  # Swin
    "pe": (sinusoids(200, 64)[:, None], "a table of sinusoids"),
    "encoder.embed_positions.weight": (sinusoids(100, 64), "a table of sinusoids"),  # Marian, Whisper
    "table": (sinusoids(100, 64).bfloat16(), "a table of sinusoids"),
    "pos_embed": (on_a_grid(14, 64), "a table of sinusoids"),
    "rotary_emb.cos_cached": (sinusoids(100, 64)[None, None], "a table of rotary"),
    "grid": (torch.stack(torch.meshgrid(*[torch.arange(64.0)] * 2, indexing="ij"), -1), "a table of sinusoids or of"),
    "position_ids": (torch.arange(64)[None], "not a weight: dtype int64"),
    "queue": (unit(64, 512), "a queue of features"),  # MoCo
    "image_bank": (unit(64, 512), "a queue of features"),
    "codes": (torch.randn(128, 64), "a codebook that averages move"),  # VQ-VAE
    "codes_avg": (torch.randn(128, 64), "a codebook that averages move"),
    "stft.conv.weight": (fourier_basis(128), "a table of sinusoids"),  # torchlibrosa
    "feature.basis": (fourier_basis(128), "a table of sinusoids"),
    "dct_mat": (torch.cos(math.pi / 80 * (torch.arange(80.0)[:, None] + 0.5) * torch.arange(60.0)), "a Fourier basis"),
    "frontend.fixed": (triangles(201, 80), "a bank of filters"),
    "q_norm.weight": (torch.rand(64, 80) + 0.5, "of a normalisation"),  # Cohere: a gain for each head
    "body.3.weight": (torch.rand(8, 60, 60) + 0.5, "of a normalisation"),  # LayerNorm([C, H, W], bias=False)
    "conv.bias": (torch.randn(64, 80), "a bias of several axes"),  # one for each place
    "noisy.weight_epsilon": (torch.randn(64, 80), "noise that is drawn anew"),  # Rainbow
    "fc.weight_integer": (torch.randn(80, 70), "a copy kept beside the weight"),  # I-BERT
    "rotary_emb.inv_freq": (1e4 ** -torch.linspace(0, 1, 60), "a table of rotary"),
    "spectrogram.window": (torch.hann_window(400), "a Fourier basis or a bank"),
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_nobody_learned_is_no_layer(name, tmp_path):
    """Masks, tables, queues, bases, gains: told from tensors alone, in a file as in memory, with the reason."""
    tensor, reason = NO_WEIGHTS[name]
    state = {name: tensor.clone(), "fc.weight": torch.randn(80, 70)}
    if name == "codes_avg":
        state["codes"] = tensor + 1
    elif name == "codes":
        state["codes_avg"] = tensor + 1
    torch.save(state, tmp_path / "model.pt")
    for source in (state, tmp_path / "model.pt"):
        analysis = wwopt.analyze(source)
        assert analysis.details["name"].tolist() == ["fc"]
        assert dict(analysis.skipped.values.tolist())[name.removesuffix(".weight")].startswith(reason)
        assert analysis.faults.empty


LEARNED = {
    "pos_embed": torch.randn(1, 197, 64),
    "wpe.weight": sinusoids(200, 64) + 0.05 * torch.randn(200, 64),  # smooth, as GPT-2's
    "norm.linear.weight": torch.randn(128, 64),
    "norm.weight": torch.randn(128, 64),  # with a bias as long as its outputs
    "conv1.weight": torch.randn(64, 60, 9).abs(),
    "positional.weight": torch.randn(64, 60),
    "queries": torch.randn(1, 64, 60).relu(),
    "binary.weight": torch.randn(64, 60).sign(),
    "experts.gates": torch.randn(64, 60),
}


@pytest.mark.parametrize("name", LEARNED)
def test_what_was_learned_stays_a_layer(name):
    """Names and values like those of tables, but learned."""
    state = {name: LEARNED[name]} | ({"norm.bias": torch.zeros(128)} if name == "norm.weight" else {})
    assert wwopt.analyze(state).details["name"].tolist() == [name.removesuffix(".weight")]


class Buffers(nn.Module):
    """A layer beside the buffers that models of many kinds keep."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(70, 80)
        for name in ("pe", "queue", "grid", "head.tril"):
            self.register_buffer(name.replace(".", "_"), NO_WEIGHTS[name][0].clone())
        self.pos_embed = nn.Parameter(on_a_grid(14, 64), requires_grad=False)


def rows(analysis):
    return analysis.details[["name", "N", "M", "rf", "alpha"]].round(4).sort_values("name").values.tolist()


def pruned():
    net = nn.Sequential(nn.Linear(70, 80), nn.ConvTranspose2d(20, 8, 3), nn.LSTM(60, 60))
    for layer, name in ((net[0], "weight"), (net[0], "bias"), (net[1], "weight"), (net[2], "weight_hh_l0")):
        prune.random_unstructured(layer, name, amount=0.3)
    return net


NETWORKS = {
    "buffers": Buffers,
    "pruned": pruned,
    "recurrent": lambda: nn.LSTM(60, 60, 2, bidirectional=True),
    "attention": lambda: nn.Transformer(64, 4, 1, 1, 128),
    "one output": lambda: nn.Sequential(nn.Conv1d(64, 1, 80), nn.Conv1d(60, 60, 1)),
    "images": lambda: nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 16, 16], bias=False), nn.RMSNorm([64, 9])),
    "spectral norm": lambda: nn.utils.spectral_norm(nn.ConvTranspose2d(60, 80, 2)),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(64, 64, 3)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore:enable_nested_tensor")
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_module_and_its_state_dict_have_the_same_rows(kind, tmp_path):
    """What is a layer does not hang on who tells it: the module, its state dict, or the file of either."""
    net = NETWORKS[kind]().eval()
    torch.save(net.state_dict(), tmp_path / "state.pt")
    expected = rows(wwopt.analyze(net))
    sources = [net.state_dict(), tmp_path / "state.pt"]
    if kind not in ("buffers", "weight norm"):  # a class of this file, and one that torch does not pickle
        torch.save(net, tmp_path / "module.pt")
        sources.append(tmp_path / "module.pt")
    for source in sources:
        assert rows(wwopt.analyze(source)) == expected
    assert expected or kind == "images"


def test_a_pruned_weight_is_what_takes_effect():
    """The weight is what was kept times its mask; of a bias too, and where a sparsifier keeps the mask."""
    net = pruned()
    analysis = wwopt.analyze(net)
    whole = wwopt.analyze({"0.weight": net[0].weight.detach(), "1.weight": net[1].weight.detach()})
    assert analysis.spectra["0"] == pytest.approx(whole.spectra["0"], rel=1e-6)
    assert analysis.details["layer_type"].tolist()[:2] == ["dense", "conv_transpose2d"]
    assert analysis.skipped["name"].tolist() == []
    mask = torch.rand(80, 70) > 0.4
    kept = torch.randn(80, 70)
    sparse = {"fc.parametrizations.weight.original": kept, "fc.parametrizations.weight.0.mask": mask}
    expected = wwopt.analyze({"fc.weight": kept * mask})
    assert wwopt.analyze(sparse).spectra["fc"] == pytest.approx(expected.spectra["fc"], rel=1e-6)
    broken = {"fc.weight_orig": torch.full((80, 70), math.nan), "fc.weight_mask": torch.zeros(80, 70)}
    assert wwopt.analyze(broken).details["status"].tolist() == ["degenerate"]  # what is masked has no effect


@pytest.mark.parametrize("names", [("a.weight", "a.bias"), ("_fsdp_wrapped_module.a.weight", "b")])
def test_parameters_that_were_not_gathered_are_listed(names, tmp_path):
    """ZeRO-3, and FSDP on a rank that holds none of a parameter, save shape (0,): also where nothing else is there."""
    torch.save({"module": dict.fromkeys(names, torch.empty(0))}, tmp_path / "model.pt")
    analysis = wwopt.analyze(tmp_path / "model.pt")
    assert len(analysis.skipped) == 2
    assert all("empty, shape (0,); ZeRO-3 and FSDP leave such" in reason for reason in analysis.skipped["reason"])
    with pytest.raises(ValueError, match="No layer was measured"):
        wwopt.AlphaScore()(analysis)
