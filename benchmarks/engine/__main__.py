"""Measure the engine's speed, and write docs/benchmarks.md with its figure.

``python -m benchmarks.engine [--rounds 5] [--only WORD] [--write FOLDER]`` prints each row as soon as it is measured;
``--only`` measures the workloads whose name contains the word, and writes nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.engine.document import HEAD, line, page
from benchmarks.engine.fuzz import fuzz
from benchmarks.engine.machine import describe_machine
from benchmarks.engine.memory import measure_memory
from benchmarks.engine.rounds import Result, Workload, compare
from benchmarks.engine.scaling import draw, measure_scaling
from benchmarks.engine.workloads import workloads

CASES = 4000


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=Path, default=Path("docs"), metavar="FOLDER")
    options = parser.parse_args()
    began, machine = time.monotonic(), describe_machine()
    print(machine, HEAD, sep="\n\n", flush=True)
    results = [_compare(workload) for workload in workloads(options.rounds) if options.only in workload.name]
    if options.only:
        return
    memory, findings, scaling = measure_memory(), fuzz(CASES), measure_scaling()
    print("", memory, findings, scaling, sep="\n\n")
    draw(scaling).savefig(options.write / "pictures" / "scaling.png", dpi=150)
    text = page(machine, results, memory, findings, scaling, minutes=(time.monotonic() - began) / 60)
    (options.write / "benchmarks.md").write_text(text)


def _compare(workload: Workload) -> Result:
    result = compare(workload)
    print(line(result), flush=True)
    return result


if __name__ == "__main__":
    main()
