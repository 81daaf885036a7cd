"""A real cluster of dask does the work; workers are killed while they do it."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import wwopt
from tests.support.waiting import wait_for

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    """Two workers, processes of their own, which their nannies start again when they die."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def layers(count, M):
    rng = np.random.default_rng(0)
    return {f"layer{i}.weight": rng.normal(size=(M + 10 * (i % 3), M)) for i in range(count)}


def kill(client, *, every):
    """SIGKILL one worker, or each, a moment after work has begun."""

    def strike():
        wait_for(lambda: any(client.processing().values()), "the workers to begin", pause=0.01)
        time.sleep(0.05)  # into the work
        pids = [worker.process.pid for worker in client.cluster.workers.values()]
        for pid in pids if every else pids[:1]:
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=strike)
    thread.start()
    return thread


def test_cluster_equals_threads(client, tmp_path):
    """The workers of a cluster give the same numbers, for weights in memory and in files, which they read."""
    source = layers(6, 60)
    save_file(source, tmp_path / "model.safetensors")
    expected = wwopt.analyze(source).details
    for where in (source, tmp_path / "model.safetensors"):
        pd.testing.assert_frame_equal(wwopt.analyze(where, executor=client.get_executor()).details, expected, rtol=1e-9)


def test_killed_worker_is_replaced(client):
    """When a worker is killed its layers are measured by another: no row is missing, no number different."""
    source = layers(16, 500)
    strike = kill(client, every=False)
    details = wwopt.analyze(source, executor=client.get_executor()).details
    strike.join()
    pd.testing.assert_frame_equal(details, wwopt.analyze(source).details, rtol=1e-9)


def test_layer_that_no_worker_survives_is_named(client, large_layer, monkeypatch):
    """When the cluster gives a layer up, the error names it."""
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    strike = kill(client, every=True)
    with pytest.raises(RuntimeError, match=r"the layers large failed: KilledWorker"):
        wwopt.analyze(large_layer, executor=client.get_executor())
    strike.join()
