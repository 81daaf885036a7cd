"""One checkout's side, in a process of its own.

``python -m benchmarks.regression.child CHECKOUT MATERIALS [--time]`` prints JSON: all numbers, or seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import timeit
from pathlib import Path

import torch

__all__ = ["main"]

REPEATS = 3
PACKAGES = ("wwopt", "wwopt_objectives", "wwopt_trackers")


def main() -> None:
    """Do the works, and print what came out as JSON: numbers, or seconds."""
    checkout, folder, *timed = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core: how layers are grouped depends on it
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    _check(Path(checkout))
    from benchmarks.regression.materials import Materials
    from benchmarks.regression.works import TIMED, WORKS

    materials = Materials(Path(folder))
    if timed:
        TIMED["study"](materials)  # loads what is loaded late
        answer = {name: _seconds(work, materials) for name, work in TIMED.items()}
    else:
        answer = {name: work(materials) for name, work in WORKS.items()}
    print(json.dumps(answer))


def _check(checkout: Path) -> None:
    """Raise where Python found another copy of the packages than the checkout's."""
    for name in PACKAGES:
        found = Path(__import__(name).__file__).resolve()
        if not found.is_relative_to(checkout.resolve()):
            raise ImportError(f"{name} was imported from {found}, which is not in {checkout}.")


def _seconds(work, materials) -> float:
    """Processor time of the quickest of some runs: what else the machine does only adds."""
    return min(timeit.repeat(lambda: work(materials), timer=time.process_time, number=1, repeat=REPEATS))


if __name__ == "__main__":
    main()
