"""Judge scores and baselines on the trained networks: ``python -m benchmarks.selection.evaluate``.

Prints the tables and stores the numbers as ``evaluation.json`` in the folder; ``--docs docs`` also writes
``docs/evidence.md`` and its pictures. ``--score module:name`` adds a score, for example ``wwopt:AlphaScore``.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.selection import consensus
from benchmarks.selection.measures import measure, summary
from benchmarks.selection.networks import Network, load_networks, qualities
from benchmarks.selection.scores import Judge, ablations, judges, requirements, weights
from benchmarks.selection.store import FOLDER, number, write_json
from benchmarks.selection.tasks import TASKS, Task

__all__ = ["HALVES", "evaluate", "main"]

HALVES = {"tuning": True, "reporting": False}

Measures = dict[str, Any]


def evaluate(networks: Mapping[str, Sequence[Network]], chosen: Sequence[Judge]) -> list[Measures]:
    """Judge each way to choose on every task and put the halves together."""
    truth = {name: qualities(group) for name, group in networks.items()}
    rows = []
    for judge in chosen:
        tasks = {name: measure(judge.values(group), *truth[name]) for name, group in networks.items()}
        halves = {
            half: summary({name: row for name, row in tasks.items() if TASKS[name].tuning == tuning})
            for half, tuning in HALVES.items()
            if any(TASKS[name].tuning == tuning for name in tasks)
        }
        for row in tasks.values():
            del row["resampled"]
        rows.append({"name": judge.name, "sees": judge.sees, "halves": halves, "tasks": tasks})
    return rows


def describe(task: Task, networks: Sequence[Network]) -> Measures:
    """Describe a task and its networks."""
    way, collapsed = qualities(networks)
    raw = np.array([network.number("test_quality") for network in networks])
    return {
        "says": task.description,
        "tuning": task.tuning,
        "networks": len(networks),
        "chance": float(networks[0].record["chance"]),
        "median": float(np.nanmedian(raw)),
        "best": float(np.nanmax(raw)),
        "collapsed": float(collapsed.mean()),
        "near_best": float((way > 0.95).mean()),
        "seconds": float(np.mean([network.record["seconds"] for network in networks])),
    }


def points(networks: Sequence[Network], judge: Judge) -> Measures:
    """Score and quality of each network, for the figure."""
    way, collapsed = qualities(networks)
    values = judge.values(networks)
    return {"values": [number(value) for value in values], "quality": way.tolist(), "collapsed": collapsed.tolist()}


def drawn(chosen: Sequence[Judge]) -> list[Judge]:
    """Return the judges that are drawn against quality: the first one, and `AlphaScore`."""
    return [chosen[0], *[judge for judge in chosen[1:] if judge.name == ablations()[0].name]]


def named(path: str) -> Judge:
    """Make a judge of ``module:name``, an object that is called with an analysis, or a class of such."""
    module, _, name = path.partition(":")
    found = getattr(importlib.import_module(module), name)
    return weights(path, found() if isinstance(found, type) else found)


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate, print and store."""
    from benchmarks.selection.document import write_document
    from benchmarks.selection.tables import evaluation_tables

    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.evaluate", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the networks are (default: %(default)s)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--score", action="append", default=[], metavar="MODULE:NAME", help="a further score")
    parser.add_argument("--docs", type=Path, help="folder of documents to write the evidence into")
    options = parser.parse_args(argv)
    folder = options.folder.expanduser()
    chosen = [*map(named, options.score), *judges(), *consensus.judges("training"), *consensus.judges("fresh")]
    needed = requirements([*chosen, *ablations()])
    networks = load_networks([TASKS[name] for name in options.tasks], folder, needed)
    networks = {name: group for name, group in networks.items() if len(group) > 1}
    if not networks:
        parser.error(f"no networks in {folder}; run python -m benchmarks.selection.train first.")
    result = {
        "tasks": {name: describe(TASKS[name], group) for name, group in networks.items()},
        "judges": evaluate(networks, chosen),
        "ablations": evaluate(networks, ablations()),
        "points": {
            judge.name: {name: points(group, judge) for name, group in networks.items()} for judge in drawn(chosen)
        },
    }
    write_json(folder / "evaluation.json", result)
    print(evaluation_tables(result))
    if options.docs:
        write_document(folder, options.docs)


if __name__ == "__main__":
    main()
