"""Quiet studies, and networks made by hand so that no test has to train long."""

from __future__ import annotations

import os
import socket
import warnings

import numpy as np
import optuna
import pytest
import torch
from optuna.storages._grpc.server import make_server

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


@pytest.fixture(params=["memory", "sqlite", "journal", "grpc", "postgres"])
def storage(request, tmp_path):
    """A storage of each kind; PostgreSQL where ``WWOPT_TEST_POSTGRES`` names one."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'study.db'}"
    elif request.param == "journal":
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log"))
        yield optuna.storages.JournalStorage(backend)
    elif request.param == "grpc":
        yield from behind_grpc(optuna.storages.InMemoryStorage())
    elif request.param == "postgres":
        yield from on_postgres()
    else:
        yield optuna.storages.InMemoryStorage()


def behind_grpc(storage):
    """A real server on loopback in front of a storage."""
    port = free_port()
    server = make_server(storage, "127.0.0.1", port)
    server.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
    yield proxy
    proxy.close()
    server.stop(None).wait()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def on_postgres():
    """The database that the environment names; the studies of a test are deleted after it."""
    url = os.environ.get("WWOPT_TEST_POSTGRES")
    if not url:
        pytest.skip("WWOPT_TEST_POSTGRES names no database")
    storage = optuna.storages.RDBStorage(url)
    before = set(optuna.get_all_study_names(storage))
    yield storage
    for name in set(optuna.get_all_study_names(storage)) - before:
        optuna.delete_study(study_name=name, storage=storage)
    storage.engine.dispose()
