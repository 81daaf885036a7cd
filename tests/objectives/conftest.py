"""Quiet studies, and networks made by hand so that no test has to train long."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch

optuna.logging.set_verbosity(optuna.logging.ERROR)

HEALTHY, NOISE, COLLAPSED = 0.5, 0.0, 6.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Each test writes into a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def network():
    """``network(decay)``: a layer whose singular values fall as a power; 0 is flat, 0.5 healthy, 6 of rank one."""

    def make(decay: float = HEALTHY, seed: int = 0, size: int = 64) -> dict[str, torch.Tensor]:
        left, _, right = np.linalg.svd(np.random.default_rng(seed).normal(size=(size, size)))
        return {"layer.weight": torch.as_tensor(left * (1.0 + np.arange(size)) ** -decay @ right)}

    return make


@pytest.fixture
def diverged(network):
    """A layer that diverged: one value is not a number."""
    weights = network()
    weights["layer.weight"][3, 5] = float("nan")
    return weights


@pytest.fixture(params=["memory", "sqlite", "journal"])
def storage(request, tmp_path):
    """A storage of each kind that needs no server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    if request.param == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log"))
        return optuna.storages.JournalStorage(backend)
    return optuna.storages.InMemoryStorage()
