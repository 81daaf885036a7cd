"""Real parts for the tests of the trackers: an analysis, an MLflow store, an MLflow server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

import wwopt

QUIET = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "NETRC": os.devnull,
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder of the test's own, no account, and nobody told of it."""
    monkeypatch.chdir(tmp_path)
    for name, value in QUIET.items():
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


@pytest.fixture
def server(store, tmp_path):
    """URI of an MLflow server on loopback over `store`."""
    port = free_port()
    with running_server(port, store, tmp_path / "artifacts") as uri:
        yield uri


class running_server:
    """``mlflow server`` as a process of its own, which ``stop`` and ``start`` take down and bring back."""

    def __init__(self, port, store, artifacts):
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        self._command += ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]

    def start(self):
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + 60
        while not answers(f"{self.uri}/health"):
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.1)

    def stop(self):
        os.killpg(self._process.pid, signal.SIGKILL)  # the group is the server's own
        self._process.wait()

    def __enter__(self):
        self.start()
        return self.uri

    def __exit__(self, *_):
        self.stop()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
