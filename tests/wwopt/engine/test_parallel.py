"""Who does the work does not matter; a worker that dies is an error with names."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
import torch
from safetensors.torch import save_file

import wwopt
from wwopt.engine.parallel import find_device, run


@pytest.fixture
def source(heavy_tailed):
    return {f"layer{i}.weight": heavy_tailed(60 + 10 * (i % 3), 60, seed=i) for i in range(8)}


@pytest.fixture(scope="module")
def processes():
    """Two processes that start afresh, as on any system."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def assert_same(left, right):
    pd.testing.assert_frame_equal(left.details, right.details, rtol=1e-9)


def test_processes_equal_threads(source, processes, tmp_path):
    """Processes give the same numbers, for weights in memory and in files, which they read by themselves."""
    expected = wwopt.analyze(source)
    save_file(source, tmp_path / "model.safetensors")
    assert_same(wwopt.analyze(source, executor=processes), expected)
    assert_same(wwopt.analyze(tmp_path / "model.safetensors", executor=processes), expected)


def test_modules_travel_to_processes(processes):
    """The layers of a module, whose type goes with them, are measured elsewhere too."""
    model = torch.nn.Sequential(torch.nn.Linear(60, 70), torch.nn.Conv2d(8, 8, 3))
    assert_same(wwopt.analyze(model, executor=processes), wwopt.analyze(model))


def test_the_users_tensors_stay_where_they_are(processes):
    """A model that is measured by other processes is not moved into memory that they share."""
    model = torch.nn.Sequential(torch.nn.Linear(60, 70))
    wwopt.analyze(model, executor=processes)
    assert not any(parameter.is_shared() for parameter in model.parameters())


def test_only_a_part_travels():
    """A part of a tensor in memory, an expert or a query, is sent without the rest, and is the same there."""
    state = {"mlp.experts.w1": torch.randn(8, 60, 60), "h.c_attn.weight": torch.randn(60, 180)}
    for matrix in wwopt.weights.open_weights(state).matrices:
        sent = pickle.dumps(matrix)
        assert len(sent) < 2 * 4 * 60 * 60
        np.testing.assert_array_equal(pickle.loads(sent).read(), matrix.read())


def test_threads_of_the_user_equal_ours(source):
    """An executor of threads, even of one, gives the same."""
    with ThreadPoolExecutor(1) as pool:
        assert_same(wwopt.analyze(source, executor=pool), wwopt.analyze(source))


def test_dead_worker_names_its_layers(tmp_path):
    """A worker that dies raises RuntimeError with the layers it had: no row is missing in silence."""
    weights = {"a.weight": torch.ones(60, 60), "b.weight": torch.ones(60, 70)}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(os._exit, 1)
        with pytest.raises(RuntimeError, match=r"the layers b failed: BrokenProcessPool"):
            wwopt.analyze(weights, executor=pool)


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_killed_worker_names_its_layers(large_layer, delay):
    """So does one that the system kills before or in the middle of its work."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        strike = threading.Timer(delay, os.kill, (pool.submit(os.getpid).result(), signal.SIGKILL))
        strike.start()
        with pytest.raises(RuntimeError, match=r"the layers large failed: BrokenProcessPool"):
            wwopt.analyze(large_layer, executor=pool)
        strike.join()


def test_fault_of_the_source_is_itself(processes, tmp_path):
    """A file that vanishes while others work is FileNotFoundError, wherever it is read."""
    from wwopt.weights import open_weights

    save_file({"a.weight": torch.ones(60, 60)}, tmp_path / "model.safetensors")
    matrices = open_weights(tmp_path / "model.safetensors").matrices
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model") as caught:
        list(run(_read, matrices, costs=[1.0], executor=processes, describe=lambda matrix: matrix.name))
    assert caught.value.__notes__ == ["This was on a worker that had a."]


def _read(matrix):
    return matrix.read()


def test_results_keep_the_order_of_the_tasks():
    """Whatever finishes first, results come in the order of the tasks, on one worker or many."""
    tasks = list(range(20))
    for costs in ([1.0] * 20, [1e8] * 20, [1e9] + [1e7] * 19):
        assert list(run(lambda task: task * 2, tasks, costs=costs)) == [task * 2 for task in tasks]


def test_an_error_stops_the_rest():
    """An error of one task is raised as it is, and the tasks after it are not begun without end."""
    begun = []

    def work(task):
        begun.append(task)
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        list(run(work, list(range(100)), costs=[1e8] * 100))
    assert len(begun) < 100


def test_concurrent_analyses_restore_the_threads_of_blas(source):
    """Analyses that overlap in several threads, as under ``n_jobs``, leave BLAS with the threads it had."""

    def threads():
        return sorted((pool["filepath"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info())

    wwopt.analyze(source)
    before = threads()
    workers = [threading.Thread(target=wwopt.analyze, args=(source,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert threads() == before


def test_auto_is_the_cpu_without_a_driver():
    """Where CUDA is not, "auto" is the CPU, and asking for CUDA says what is possible."""
    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    assert find_device("auto") == find_device("cpu") == "cpu"
    with pytest.raises(
        ValueError, match=r"`device` must be 'auto', 'cpu' or a device of torch that is here, got 'cuda'"
    ):
        wwopt.analyze({"a.weight": np.ones((60, 60))}, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_equals_cpu(source):
    """On CUDA alpha is the same within 1e-4."""
    left, right = wwopt.analyze(source, device="cuda").details, wwopt.analyze(source, device="cpu").details
    np.testing.assert_allclose(left["alpha"], right["alpha"], rtol=1e-4)
