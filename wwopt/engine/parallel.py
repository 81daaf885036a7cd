"""Run tasks on local threads or on a `concurrent.futures.Executor`."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["cores", "find_device", "run", "threads"]

Task = TypeVar("Task")
Result = TypeVar("Result")

SERIAL_OPERATIONS = 2e8  # operations below which another thread, and the wait for it, costs more than it gives
NVIDIA_DRIVER = Path("/dev/nvidiactl")
MEMORY = 4 << 30  # bytes that layers may take together, unless one takes more


def run(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    costs: Sequence[float],
    largest: int = 0,
    executor: Executor | None = None,
    describe: Callable[[Task], str] = str,
) -> Iterator[Result]:
    """Run each task, the costly ones first; results come in the order of the tasks.

    Here, two layers at once with one BLAS thread each beat one after the other with two; only a task that would keep
    the other cores waiting gets them all.

    Parameters
    ----------
    work : callable
        Picklable where an executor has processes.
    tasks : sequence
        In falling order of cost.
    costs : sequence of float
        Operations of each task.
    largest : int
        Bytes that the largest task takes.
    executor : concurrent.futures.Executor, optional
        Workers, with one BLAS thread each.
    describe : callable
        Returns the name of a task, for errors.

    Raises
    ------
    RuntimeError
        A worker died; the error names its task.
    """
    if executor is not None:
        yield from _on_executor(partial(_on_one_thread, work), tasks, executor, describe)
        return
    total = sum(costs)
    workers = min(len(tasks), threads(total, largest))
    alone = sum(cost * workers > total for cost in costs) if workers > 1 else 0
    yield from map(work, tasks[:alone])
    with _blas.limited(max(1, cores() // workers) if total > SERIAL_OPERATIONS else 1):
        yield from _on_threads(work, tasks[alone:], workers)


def threads(operations: float, largest: int) -> int:
    """Number of threads that share this much work here; one where starting another costs more than it gives."""
    return min(cores(), max(2, MEMORY // max(largest, 1))) if operations > SERIAL_OPERATIONS else 1


def _on_threads(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    if workers < 2 or len(tasks) < 2:
        yield from map(work, tasks)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="wwopt")
    try:
        yield from pool.map(work, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(device: str) -> str:
    """Resolve "auto": CUDA where there is a driver and torch can use it, else the CPU.

    Raises
    ------
    ValueError
        Torch knows no such device, or has none of its kind.
    """
    if device == "cpu" or (device == "auto" and "torch" not in sys.modules and not NVIDIA_DRIVER.exists()):
        return "cpu"
    import torch  # noqa: PLC0415  (heavy)

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"`device` must be 'auto', 'cpu' or a device of torch that is here, got {device!r}."
        ) from error
    return device


def _on_executor(
    work: Callable[[Task], Result], tasks: Sequence[Task], executor: Executor, describe: Callable[[Task], str]
) -> Iterator[Result]:
    futures: list[Future[Result]] = []
    try:
        for task in tasks:
            with _name_in_errors(task, describe):
                futures.append(executor.submit(work, task))
        for future, task in zip(futures, tasks, strict=True):
            with _name_in_errors(task, describe):
                result = future.result()
            yield result
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _name_in_errors(task: Task, describe: Callable[[Task], str]) -> Iterator[None]:
    """Name the task in the error that its worker raises."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:  # of the source, not of the worker
        error.add_note(f"This was on a worker that had {describe(task)}.")
        raise
    except Exception as error:
        raise RuntimeError(f"The worker that had {describe(task)} failed: {error!r}") from error


def _on_one_thread(work: Callable[[Task], Result], task: Task) -> Result:
    with _blas.limited(1):
        return work(task)


class _BlasThreads:
    """Limit of BLAS's threads, which the whole process shares: set by the first user, restored by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    @contextmanager
    def limited(self, count: int) -> Iterator[None]:
        """Limit the threads while the context is open; a limit that is already set stands."""
        with self._lock:
            if self._users == 0:
                self._restore.enter_context(_libraries().limit(limits=count, user_api="blas"))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._restore.close()


_blas = _BlasThreads()


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looking them up takes milliseconds
