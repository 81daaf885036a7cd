"""Parity with WeightWatcher 0.7.7, which is run here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wwopt

TOLERANCE = 1e-6
COLUMNS = (
    "N", "M", "Q", "rf", "num_evals", "alpha", "xmin", "xmax", "D", "sigma", "num_pl_spikes", "alpha_weighted",
    "log_alpha_norm", "norm", "log_norm", "spectral_norm", "log_spectral_norm", "lambda_max", "sv_max", "stable_rank",
    "matrix_rank", "rank_loss", "entropy",
)  # fmt: skip

LAYERS = {
    "square": (torch.nn.Linear(96, 96), (96, 96)),
    "wide": (torch.nn.Linear(300, 64), (64, 300)),
    "tall": (torch.nn.Linear(20, 400), (400, 20)),
    "embedding": (torch.nn.Embedding(700, 48), (700, 48)),
    "conv 1x1": (torch.nn.Conv2d(64, 32, 1), (32, 64, 1, 1)),
    "conv 3x3": (torch.nn.Conv2d(8, 40, 3), (40, 8, 3, 3)),
    "conv 7x7": (torch.nn.Conv2d(3, 64, 7), (64, 3, 7, 7)),
    "conv 1x5": (torch.nn.Conv2d(16, 16, (1, 5)), (16, 16, 1, 5)),
    "conv grouped": (torch.nn.Conv2d(32, 32, 3, groups=2), (32, 16, 3, 3)),
}


def assert_equal_tables(ours, theirs):
    """Same layers, same numbers."""
    ours = ours.details.set_index("name")
    assert list(ours.index) == list(theirs.index)
    for column in COLUMNS:
        expected = theirs[column].astype(float)
        np.testing.assert_allclose(ours[column], expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=column)
    assert list(ours["layer_type"]) == list(theirs["layer_type"])
    assert all(word in (known, "noise") for word, known in zip(ours["warning"], theirs["warning"], strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_weightwatcher(name, heavy_tailed, weightwatcher):
    """Every column that both have is the same for every kind of layer that WeightWatcher knows."""
    layer, shape = LAYERS[name]
    model = torch.nn.Sequential(layer)
    with torch.no_grad():
        layer.weight.copy_(heavy_tailed(*shape, seed=len(name)))
    assert_equal_tables(wwopt.analyze(model, min_evals=20), weightwatcher(model, min_evals=20))


def test_default_initialisation_equals_weightwatcher(weightwatcher):
    """An untrained network, whose spectra have no tail, gets the same numbers."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(128, 256), torch.nn.ReLU(), torch.nn.Linear(256, 64))
    assert_equal_tables(wwopt.analyze(model), weightwatcher(model, min_evals=50))


@pytest.mark.slow
def test_pretrained_transformer_equals_weightwatcher(minilm, weightwatcher):
    """All 39 layers of MiniLM get the same numbers, from the file as from a module, and so does the summary."""
    tensors = load_file(minilm)
    model = _module_of(tensors)
    theirs = weightwatcher(model, min_evals=50)
    from_module, from_file = wwopt.analyze(model), wwopt.analyze(minilm)
    assert_equal_tables(from_module, theirs)
    for name in ("alpha", "alpha_weighted", "log_alpha_norm", "log_norm", "log_spectral_norm", "stable_rank"):
        assert from_file.summary[name] == pytest.approx(theirs[name].mean(), rel=TOLERANCE)


def _module_of(tensors):
    """Plain linear and embedding layers with the names and the weights of a state dict."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or not tensor.is_floating_point():
            continue
        *path, leaf, _ = name.split(".")
        parent = root
        for part in path:
            if part not in parent._modules:
                parent.add_module(part, torch.nn.Module())
            parent = parent._modules[part]
        kind = torch.nn.Embedding if "embedding" in name else torch.nn.Linear
        layer = kind(*tensor.shape) if kind is torch.nn.Embedding else kind(*tensor.shape[::-1], bias=False)
        layer.weight = torch.nn.Parameter(tensor)
        parent.add_module(leaf, layer)
    return root
