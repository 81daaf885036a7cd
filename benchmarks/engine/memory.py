"""Peak anonymous memory of an analysis of a large sharded checkpoint, over an interpreter with torch loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

__all__ = ["measure_memory", "write_shards"]

MEGABYTE = 1 << 20
SIDE = 4096
SHARDS, LAYERS_PER_SHARD = 8, 8  # 64 layers of 64 MiB: 4 GiB
MARGIN = 200  # MB over three times the largest layer in double precision

CHILD = """
import sys, numpy, torch, wwopt, pandas, scipy.linalg
print("ready", flush=True); sys.stdin.readline()
if len(sys.argv) > 1:
    wwopt.analyze(sys.argv[1], device="cpu", include=sys.argv[2])
print("done", flush=True); sys.stdin.readline()
"""


def measure_memory(include: str = "*.0.*") -> str:
    """Analyse a layer of every shard, which is as hard on memory as all of them, and report the peak."""
    with tempfile.TemporaryDirectory() as folder:
        index = write_shards(Path(folder))
        before = _peak([])
        peak = _peak([str(index), include])
    largest = SIDE * SIDE * 8 / MEGABYTE
    allowed = 3 * largest + MARGIN
    return (
        f"Sharded safetensors of 4 GB: {peak - before:.0f} MB over an interpreter with torch ({before:.0f} MB); "
        f"asked at most {allowed:.0f} MB (three times the largest layer as float64, {largest:.0f} MB, and {MARGIN} MB)."
    )


def write_shards(folder: Path) -> Path:
    """Write 64 layers of 4096 x 4096 in float32, each file byte by byte, so that writing needs little memory."""
    rng = np.random.default_rng(0)
    weight_map = {}
    nbytes = SIDE * SIDE * 4
    for shard in range(SHARDS):
        names = [f"model.{layer}.{shard}.weight" for layer in range(LAYERS_PER_SHARD)]
        header = json.dumps(
            {
                name: {"dtype": "F32", "shape": [SIDE, SIDE], "data_offsets": [i * nbytes, (i + 1) * nbytes]}
                for i, name in enumerate(names)
            }
        ).encode()
        file = f"model-{shard:05}.safetensors"
        weight_map |= dict.fromkeys(names, file)
        with (folder / file).open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            values = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
            for _ in names:
                out.write(values.data)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def _peak(arguments: list[str]) -> float:
    """Run a child and watch its anonymous memory, in MB."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    child.stdin.write("go\n")
    child.stdin.flush()
    status = Path(f"/proc/{child.pid}/status")
    peak = 0.0
    import threading

    done = threading.Event()
    threading.Thread(target=lambda: (child.stdout.readline(), done.set()), daemon=True).start()
    while not done.is_set():
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        peak = max(peak, int(line.split()[1]) / 1024)
        time.sleep(0.005)
    child.communicate("end\n")
    return peak
