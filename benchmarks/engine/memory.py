"""Peak anonymous memory of an analysis of a large sharded checkpoint, over an interpreter with torch loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Memory", "measure_memory", "write_shards"]

MEGABYTE = 1 << 20
SHARDS = 8
LARGE, SMALL = (4096, 4096), (4096, 1024)  # 64 and 16 MiB in float32
SMALL_ONES = 28  # a shard, beside a large one: 512 MiB, 4 GiB in all
MARGIN = 200  # MB over three times the largest layer in double precision

CHILD = """
import sys, numpy, torch, wwopt, pandas, scipy.linalg
print("ready", flush=True); sys.stdin.readline()
if len(sys.argv) > 1:
    wwopt.analyze(sys.argv[1], device="cpu", include=sys.argv[2])
print("done", flush=True); sys.stdin.readline()
"""


@dataclass(frozen=True)
class Memory:
    """Peaks in MB: of an interpreter with torch, of an analysis over that, and what is allowed."""

    before: float
    peak: float
    largest: float

    @property
    def allowed(self) -> float:
        """Three times the largest layer in double precision, and a margin."""
        return 3 * self.largest + MARGIN

    def __str__(self) -> str:
        """Describe it in a sentence."""
        return (
            f"A sharded safetensors of 4 GB ({SHARDS * (1 + SMALL_ONES)} layers, the largest 4096 x 4096) takes "
            f"{self.peak:.0f} MB over an interpreter with torch ({self.before:.0f} MB); at most {self.allowed:.0f} MB "
            f"are allowed: three times the largest layer as float64 ({self.largest:.0f} MB) and {MARGIN} MB."
        )


def measure_memory(include: str = "*") -> Memory:
    """Analyse a checkpoint of 4 GB in a process of its own and watch its anonymous memory."""
    with tempfile.TemporaryDirectory() as folder:
        index = write_shards(Path(folder))
        before = _peak([])
        peak = _peak([str(index), include])
    return Memory(before, peak - before, LARGE[0] * LARGE[1] * 8 / MEGABYTE)


def write_shards(folder: Path) -> Path:
    """Write layers in float32, one at a time, so that writing needs little memory."""
    rng = np.random.default_rng(0)
    values = {shape: rng.standard_normal(shape, dtype=np.float32) for shape in (LARGE, SMALL)}
    weight_map = {}
    for shard in range(SHARDS):
        shapes = {f"model.{layer}.{shard}.weight": SMALL if layer else LARGE for layer in range(1 + SMALL_ONES)}
        header, position = {}, 0
        for name, (n, m) in shapes.items():
            header[name] = {"dtype": "F32", "shape": [n, m], "data_offsets": [position, position + 4 * n * m]}
            position += 4 * n * m
        text = json.dumps(header).encode()
        file = f"model-{shard:05}.safetensors"
        weight_map |= dict.fromkeys(shapes, file)
        with (folder / file).open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for shape in shapes.values():
                out.write(values[shape].data)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def _peak(arguments: list[str]) -> float:
    """Run a child process and return the peak of its anonymous memory, in MB."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    child.stdin.write("go\n")
    child.stdin.flush()
    status = Path(f"/proc/{child.pid}/status")
    peak = 0.0
    done = threading.Event()
    threading.Thread(target=lambda: (child.stdout.readline(), done.set()), daemon=True).start()
    while not done.is_set():
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        peak = max(peak, int(line.split()[1]) / 1024)
        time.sleep(0.005)
    child.communicate("end\n")
    return peak
