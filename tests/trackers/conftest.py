"""Real parts for the tests of the trackers: an analysis, an MLflow store, an MLflow server."""

import os

import numpy as np
import pytest

import wwopt
from tests.support import servers
from wwopt_trackers.journal.journal import Journal

ENVIRONMENT = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "NETRC": os.devnull,
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder of the test's own, no account, and nobody told of it."""
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def analysis():
    """Three layers, one of them without a fit."""
    random = np.random.default_rng(0)
    weights = {f"block.{i}.fc.weight": random.standard_t(3, size=(128, 64)) for i in range(2)}
    return wwopt.analyze({**weights, "dead.weight": np.zeros((64, 64))})


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A store whose tables stand: creating them takes MLflow five seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture
def store(migrated, tmp_path):
    """URI of an empty MLflow store in a file."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(migrated)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def server(migrated, tmp_path_factory):
    """An MLflow server on loopback, which the tests share: each has an experiment of its own."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlflow.db").write_bytes(migrated)
    with servers.Server(f"sqlite:///{folder}/mlflow.db", folder / "artifacts") as running:
        yield running


@pytest.fixture
def proxy(server):
    """A proxy before the server, which a test makes hang, reset or refuse."""
    between = servers.Proxy(server.port, "somebody", "secret")
    yield between
    between.close()


@pytest.fixture
def read(tmp_path):
    """Open the journals of a folder, and close them after the test."""
    opened = []

    def open_all(path=tmp_path / "log"):
        found = [Journal(file) for file in sorted(path.glob("*.db"))]
        opened.extend(found)
        return found

    yield open_all
    for journal in opened:
        journal.close()
