"""The difference to a base model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import wwopt


@pytest.fixture
def base(heavy_tailed):
    return {
        "a.weight": heavy_tailed(70, 60),
        "b.weight": heavy_tailed(16, 16, 3, 3),
        "gone.weight": heavy_tailed(60, 60),
        "old.weight": heavy_tailed(60, 60),
    }


@pytest.fixture
def tuned(base, heavy_tailed):
    """The base with something added, another layer and one of another shape."""
    update = {"a.weight": heavy_tailed(70, 60, seed=5) * 1e-3, "b.weight": heavy_tailed(16, 16, 3, 3, seed=6) * 1e-3}
    tuned = {name: base[name] + update[name] for name in update}
    return tuned | {"new.weight": torch.ones(60, 60), "gone.weight": torch.ones(60, 61)}


def test_difference_is_analysed(base, tuned, tmp_path):
    """The numbers are those of ``W - W_base``, in memory as in files."""
    save_file(base, tmp_path / "base.safetensors")
    save_file(tuned, tmp_path / "tuned.safetensors")
    differences = {name: tuned[name] - base[name] for name in ("a.weight", "b.weight")}
    expected = wwopt.analyze(differences, invariant=False)  # which a difference has not
    for source, of in (
        (tuned, base),
        (tmp_path / "tuned.safetensors", tmp_path / "base.safetensors"),
        (tuned, tmp_path / "base.safetensors"),
    ):
        analysis = wwopt.analyze(source, base=of)
        assert analysis.details.equals(expected.details)
        assert dict(analysis.skipped.values.tolist()) == {
            "new": "not in the base model",
            "old": "only in the base model",
            "gone": "1 of 61 x 60, in the base model 1 of 60 x 60",
        }


def test_no_difference_is_degenerate(base):
    """A model less itself is zero, and says so."""
    assert set(wwopt.analyze(base, base=base).details["status"]) == {"degenerate"}


def test_small_types_are_subtracted_exactly():
    """Differences of half-precision weights are computed in single precision at least."""
    weight = torch.linspace(1, 2, 3600).reshape(60, 60)
    analysis = wwopt.analyze({"a.weight": (weight + 2**-9).half()}, base={"a.weight": weight.half()})
    expected = ((weight + 2**-9).half().double() - weight.half().double()).numpy()
    np.testing.assert_allclose(analysis.spectra["a"].sum(), (expected**2).sum(), rtol=1e-6)


def test_settings_name_the_base(base, tuned, tmp_path):
    """The analysis remembers what was subtracted, as far as it has a name."""
    save_file(base, tmp_path / "base.safetensors")
    assert wwopt.analyze(tuned, base=tmp_path / "base.safetensors").settings["base"].endswith("base.safetensors")
    assert wwopt.analyze(tuned, base=base).settings["base"] == "a dict"
    assert wwopt.analyze(tuned).settings["base"] is None


def test_a_change_of_few_elements_is_no_divergence():
    """A fine-tuning may change little but a few rows, which in the weights of a network themselves would be broken."""
    torch.manual_seed(0)
    base, rows = torch.randn(80, 60), torch.zeros(80, 60)
    rows[[3, 40]] = 5 * torch.randn(2, 60)
    tuned = base + rows + 0.01 * torch.randn(80, 60)
    assert [
        f.key for f in wwopt.analyze({"a.weight": tuned}, base={"a.weight": base}).findings if f.key == "diverged"
    ] == []
    assert "diverged" in [f.key for f in wwopt.analyze({"a.weight": tuned - base}).broken]
