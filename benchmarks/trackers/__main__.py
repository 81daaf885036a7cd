"""Measure what tracking costs, and write docs/tracking-benchmarks.md.

``python -m benchmarks.trackers [--short] [--only WORD] [--write FILE]`` prints the table, and exits with 1 when a row
misses what is asked of it. ``--short`` takes a minute or two and says less.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.trackers import measure
from tests.support.delivery_drill import network
from tests.support.servers import Proxy, Server

PACKAGES = ("mlflow", "wandb", "optuna", "torch", "numpy")
PAGE = """# What tracking costs

Written by `python -m benchmarks.trackers`: each row is measured beside its comparison in one run, with an MLflow
server on loopback over SQLite, which has the lowest priority, as if it ran on another machine. Imports are excluded,
and so is the wait for what is still to be delivered at the end, unless a row says so. Wall times are medians of
alternating rounds; the trials in threads and processes analyse twenty layers at each step, tracked or not, and keep all
cores busy.

{machine}

{table}

Not measured here, since it needs W&B's server: anything online with W&B.
"""


def rows(server, proxy, *, short):
    """Give the rows of the table, each measured when it is asked for."""
    analysis = network(200)
    steps, rounds = (10, 1) if short else (30, 3)
    yield "thread", partial(measure.training_thread, analysis, proxy, 60 if short else 300)
    yield "drill", partial(measure.drilled, 100 if short else 1000, 20 if short else 200)
    yield "delivery", partial(measure.delivery_rate, analysis, server, 100 if short else 400)
    yield "threads", partial(measure.threads, server, steps, rounds)
    yield "processes", partial(measure.processes, server, steps, rounds)
    yield "keys", partial(measure.large_model, server)
    yield "demo", partial(measure.demo_study, 4 if short else 40, 1 if short else 2)


def describe_machine():
    """What the figures were measured on."""
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    cores = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{cores}; {versions}; load before: {os.getloadavg()[0]:.1f}."


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="", help="rows whose word holds this")
    parser.add_argument("--write", type=Path, help="page to write, such as docs/tracking-benchmarks.md")
    options = parser.parse_args()
    target = options.write and options.write.absolute()
    machine, start = describe_machine(), time.monotonic()
    lines = ["| what | measured | asked | met |", "|---|---|---|---|"]
    print(machine, *lines, sep="\n", flush=True)
    met = []
    home = Path.cwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        with Server(f"sqlite:///{folder}/mlflow.db", Path(folder, "artifacts"), low_priority=True) as server:
            proxy = Proxy(server.port)
            for word, measured in rows(server, proxy, short=options.short):
                for row in measured() if options.only in word else ():
                    met.append(row.met)
                    lines.append(f"| {row.what} | {row.measured} | {row.asked} | {'yes' if row.met else 'NO'} |")
                    print(lines[-1], flush=True)
            proxy.close()
        os.chdir(home)
    print(f"{time.monotonic() - start:.0f} s")
    if target:
        target.write_text(PAGE.format(machine=machine, table="\n".join(lines)), encoding="utf-8")
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
