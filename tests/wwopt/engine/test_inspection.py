"""What `inspect` says before weights are read, against what `analyze` then does."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from torch import nn

import wwopt


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 16, 16]), nn.Linear(64, 80), nn.Linear(80, 3))
    net.register_buffer("queue", torch.randn(64, 128))
    return net.half()


def test_it_says_what_analyze_does(model):
    """The same layers, the same reasons, types, shapes and numbers of parameters."""
    found, analysis = wwopt.inspect(model, exclude="2"), wwopt.analyze(model, exclude="2")
    assert found.analysed["name"].tolist() == analysis.details["name"].tolist() == ["0"]
    left_out = (
        found.skipped.values.tolist()
        + found.layers.loc[found.layers["reason"] != "", ["name", "reason"]].values.tolist()
    )
    assert sorted(left_out) == sorted(analysis.skipped.values.tolist())
    assert found.layers["shape"].tolist() == [(64, 8, 3, 3), (80, 64), (3, 80)]
    assert set(found.layers["dtype"]) == {"float16"}
    matrices = sum(p.numel() for p in model.parameters() if p.ndim in (2, 4))
    assert found.parameters == matrices + 64 + 80 + 3
    assert found.seconds > 0
    assert 4 * 64 * 8 * 9 <= found.memory < 1e6


def test_only_headers_are_read(tmp_path):
    """A file of ten gigabytes, of which nothing but the header is on the disk, takes no longer than a small one."""
    shapes = {f"layers.{i}.mlp.weight": (25_000, 20_000) for i in range(10)}
    header, place = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + place)
    found = wwopt.inspect(path)
    assert found.parameters == 10 * 25_000 * 20_000
    assert found.memory > 4 * 25_000 * 20_000
    assert found.seconds > 60


def test_a_base_and_nothing_to_analyse():
    """Layers without a partner in the base are listed, and a network of small layers takes no time."""
    found = wwopt.inspect(
        {"a.weight": torch.ones(60, 60), "b.weight": torch.ones(3, 3)}, base={"b.weight": torch.ones(3, 3)}
    )
    assert found.skipped.values.tolist() == [["a", "not in the base model"]]
    assert found.analysed.empty
    assert (found.seconds, found.memory) == (0, 0)
