"""Locks: one holder at a time, released when its process dies, and a probe that leaves no trace."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.support.waiting import wait_for
from wwopt_trackers.journal.locks import is_locked, locked

HOLD = """
import sys
from pathlib import Path
from wwopt_trackers.journal.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

FORK = """
import os, signal, sys
from pathlib import Path
from wwopt_trackers.journal.locks import locked
with locked(Path(sys.argv[1])):
    if not (ended := os.fork()):
        sys.exit()
    os.waitpid(ended, 0)
    if not (worker := os.fork()):
        signal.pause()
    print(worker, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_killed_process_lets_go(holder, tmp_path):
    """While it lives nobody else has the lock; once it is killed anybody may."""
    path = tmp_path / "lock"
    assert is_locked(path)
    with pytest.raises(TimeoutError, match="Another process holds"), locked(path):
        pass
    holder.kill()
    holder.wait()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)


def test_threads_of_one_process_exclude_each_other(tmp_path):
    """A thread that holds the lock keeps the others out, and another thread may release it."""
    path = tmp_path / "lock"
    context = locked(path)
    context.__enter__()
    states = []
    threads = [
        threading.Thread(target=lambda: states.append(is_locked(path))),
        threading.Thread(target=lambda: context.__exit__(None, None, None)),
        threading.Thread(target=lambda: states.append(is_locked(path))),
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert states == [True, False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_worker_does_not_hold_the_lock(tmp_path):
    """One that ends does not release its parent's lock; one that outlives a killed parent does not keep it."""
    path = tmp_path / "lock"
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        try:
            assert is_locked(path)
            process.kill()
            process.wait()
            wait_for(lambda: not is_locked(path), "the worker to let go of the lock, which it does when it starts")
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_probe_creates_no_file(tmp_path):
    """A lock that was never held is free, and stays without a file."""
    assert not is_locked(tmp_path / "lock")
    assert not list(tmp_path.iterdir())
