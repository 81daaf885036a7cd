"""Weight files that several commands read."""

import numpy as np
import pytest
import torch


@pytest.fixture
def checkpoint(tmp_path):
    """A network with one layer large enough and one that is not."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 3))
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two epochs of a network, one that a typing error has scaled, and one of another kind."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 70), torch.nn.Linear(70, 3))
    state = model.state_dict()
    torch.save(state, "epoch-1.pt")
    torch.save({name: W * 1.01 + 0.01 * W.flip(0) for name, W in state.items()}, "epoch-2.pt")
    torch.save({**state, "1.weight": 10 * state["1.weight"]}, "scaled.pt")
    np.savez("other.npz", **{"head.weight": np.random.default_rng(0).normal(size=(200, 51))})
    return tmp_path
