"""Time by size of a layer, by number of layers and by number of workers: measurement and figure."""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from safetensors.numpy import save_file

import wwopt
from benchmarks.engine.rounds import seconds
from wwopt.engine.parallel import cores

__all__ = ["Scaling", "draw", "measure_scaling"]

SIDES = (64, 128, 256, 512, 1024, 2048, 4096)
COUNTS = (1, 3, 10, 30, 100, 300, 1000)
QUICK = 1024  # sides up to which the best of several runs is taken
LAYERS, SIDE = 48, 512  # of the network that workers share
DOUBLE, SINGLE, GUIDE = ("#0072b2", "o"), ("#d55e00", "s"), "#7f7f7f"  # Okabe and Ito's, and a shape for each


@dataclass(frozen=True)
class Scaling:
    """Seconds by side of a square layer in both precisions, by number of layers of 128 x 128, and by workers."""

    sides: dict[str, dict[int, float]]
    counts: dict[int, float]
    workers: dict[int, float]


def measure_scaling(largest: int = SIDES[-1]) -> Scaling:
    """Measure all three on Gaussian layers."""
    rng = np.random.default_rng(0)
    sides = [side for side in SIDES if side <= largest]
    layers = {side: rng.normal(size=(side, side)).astype(np.float32) for side in sides}
    by_side = {
        precision: {side: _time({"a": layers[side]}, 3 if side <= QUICK else 1, precision) for side in sides}
        for precision in ("double", "single")
    }
    small = {str(i): rng.normal(size=(128, 128)).astype(np.float32) for i in range(COUNTS[-1])}
    by_count = {count: _time(dict(list(small.items())[:count]), 3) for count in COUNTS}
    return Scaling(by_side, by_count, _time_workers(rng))


def draw(scaling: Scaling) -> Figure:
    """Draw a panel for each."""
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_sides(left, scaling.sides)
        colour, marker = DOUBLE
        middle.plot(list(scaling.counts), list(scaling.counts.values()), color=colour, marker=marker)
        middle.set(xscale="log", yscale="log", xlabel="layers of 128 x 128", ylabel="seconds")
        number, times = list(scaling.workers), list(scaling.workers.values())
        right.plot(number, times, color=colour, marker=marker)
        right.plot(number, [times[0] / n for n in number], color=GUIDE, linestyle="--")
        right.annotate(
            "ideal", (number[-1], times[0] / number[-1]), (0, -14), textcoords="offset points", color=GUIDE, ha="right"
        )
        right.set(
            xlabel=f"workers ({cores()} cores), {LAYERS} layers of {SIDE} x {SIDE}", ylabel="seconds", xticks=number
        )
        right.set_ylim(0)
        for axes in (left, middle, right):
            axes.grid(color="#e5e5e5")
        return figure


def _draw_sides(axes, sides):
    for (precision, times), (colour, marker) in zip(sides.items(), (DOUBLE, SINGLE), strict=True):
        axes.plot(list(times), list(times.values()), color=colour, marker=marker, label=f"{precision} precision")
    largest = max(sides["double"])
    guide = [side for side in sides["double"] if side >= largest // 8]
    last = sides["double"][largest]
    axes.plot(guide, [1.6 * last * (side / largest) ** 3 for side in guide], color=GUIDE, linestyle="--", label="M³")
    axes.set(xscale="log", yscale="log", xlabel="M of one layer, M x M", ylabel="seconds")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)


def _time(source: object, runs: int, precision: str = "double") -> float:
    return min(seconds(lambda: wwopt.analyze(source, precision=precision, device="cpu")) for _ in range(runs))


def _time_workers(rng: np.random.Generator) -> dict[int, float]:
    """Time analyses of a file by processes that are already running."""
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_file({f"{i}.weight": rng.normal(size=(SIDE, SIDE)).astype(np.float32) for i in range(LAYERS)}, path)
        for workers in range(1, 1 + min(cores(), 8)):
            with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
                wwopt.analyze(path, executor=pool)
                times[workers] = min(seconds(lambda pool=pool: wwopt.analyze(path, executor=pool)) for _ in range(3))
    return times
