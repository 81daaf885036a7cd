"""The engine on a GPU beside the CPU: ``python -m benchmarks.engine.gpu`` prints how far numbers differ, and times.

One block of a language model with Llama's shapes, low rank plus noise. Rounds alternate; medians are printed. Needs
CUDA.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

import wwopt

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["block", "largest_differences", "main"]

WIDTH, HIDDEN, HEADS = 2048, 5632, 256
RANK, ROUNDS = 64, 3
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (HEADS, WIDTH),
    "self_attn.v_proj": (HEADS, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (HIDDEN, WIDTH),
    "mlp.up_proj": (HIDDEN, WIDTH),
    "mlp.down_proj": (WIDTH, HIDDEN),
}


def block(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of a block: noise, and `RANK` directions whose strengths fall as a power law."""
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name, (rows, columns) in SHAPES.items():
        left, right = torch.randn(rows, RANK, generator=draw), torch.randn(RANK, columns, generator=draw)
        strengths = torch.arange(1, RANK + 1) ** -0.7
        noise = torch.randn(rows, columns, generator=draw)
        weights[f"model.layers.0.{name}.weight"] = 0.02 * (noise + 0.5 * (left * strengths) @ right)
    return weights


def largest_differences(first: Analysis, second: Analysis) -> dict[str, float]:
    """Largest relative difference of each column of numbers over the layers."""
    differences = {}
    for name in first.details.select_dtypes("number").columns:
        left, right = (np.asarray(one.details[name], dtype=np.float64) for one in (first, second))
        scale = np.maximum(np.abs(left), np.abs(right))
        apart = np.abs(left - right) / np.where(scale > 0, scale, 1.0)
        differences[str(name)] = float(np.max(np.where(np.isnan(left) & np.isnan(right), 0.0, apart), initial=0.0))
    return differences


def _seconds(run: Callable[[], Analysis]) -> tuple[float, Analysis]:
    start = time.perf_counter()
    analysis = run()
    torch.cuda.synchronize()
    return time.perf_counter() - start, analysis


def main() -> None:
    """Measure and print."""
    weights = block()
    on_gpu = {name: value.cuda() for name, value in weights.items()}
    print(f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}")
    for precision in ("double", "single"):
        options = {"precision": precision, "progress": False}
        runs = {
            "CPU": partial(wwopt.analyze, weights, device="cpu", **options),
            "GPU, weights on the CPU": partial(wwopt.analyze, weights, device="cuda", **options),
            "GPU, weights there": partial(wwopt.analyze, on_gpu, device="cuda", **options),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        analyses: dict[str, Analysis] = {}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                seconds, analyses[name] = _seconds(run)
                times[name].append(seconds)
        for name in runs:
            worst = largest_differences(analyses["CPU"], analyses[name])
            column = max(worst, key=lambda key: worst[key])
            print(
                f"{precision}: {name}: {median(times[name]):.2f} s; largest difference {worst[column]:.1e} ({column})"
            )


if __name__ == "__main__":
    main()
