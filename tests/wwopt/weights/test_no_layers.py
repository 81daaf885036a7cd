"""Tensors of two dimensions that are no layer, and layers that hold no tensor: both are listed with the reason."""

from __future__ import annotations

import warnings

import pytest

import wwopt

torch = pytest.importorskip("torch")
nn = torch.nn


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


def test_a_quantised_model_is_not_measured(tmp_path):
    """PyTorch packs int8 weights with their biases, for the processor: the reason is given, in memory and in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = nn.Sequential(nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 80))
        model = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, dtype=torch.qint8)
        torch.save(model.state_dict(), tmp_path / "int8.pt")
        sources = (model, model.state_dict(), tmp_path / "int8.pt")
        analyses = [wwopt.analyze(source) for source in sources]
    for analysis in analyses:
        assert analysis.skipped["name"].tolist() == ["0", "2"]
        with pytest.raises(
            ValueError, match=r"No layer was measured: 0: quantized.* as it was before it was quantised"
        ):
            wwopt.AlphaScore()(analysis)


def test_a_model_without_values_is_not_measured():
    """On the meta device there is nothing to measure."""
    with pytest.raises(ValueError, match=r"No layer was measured: weight: on the meta device.* Load the weights"):
        wwopt.AlphaScore()(wwopt.analyze(nn.Linear(64, 64, device="meta")))
