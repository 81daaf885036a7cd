"""Measure the table of docs/benchmarks.md: ``python -m benchmarks.engine [--rounds 5] [--only MiniLM]``."""

from __future__ import annotations

import argparse

from benchmarks.engine.machine import describe_machine
from benchmarks.engine.memory import measure_memory
from benchmarks.engine.rounds import compare
from benchmarks.engine.works import works


def main() -> None:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="works whose name holds this")
    options = parser.parse_args()
    print(describe_machine(), end="\n\n")
    print("| work | ours, s | other, s | ratio (least to most) | asked | aimed at |")
    print("|---|---|---|---|---|---|")
    for work in works(options.rounds):
        if options.only in work.name:
            result = compare(work)
            span = f"{result.ratio:.1f} ({min(result.ratios):.1f} to {max(result.ratios):.1f})"
            print(
                f"| {work.name} | {result.ours:.3f} | {result.theirs:.2f} | {span} | {work.asked} | {work.aimed} |",
                flush=True,
            )
    if options.only in "memory":
        print()
        print(measure_memory())


main()
