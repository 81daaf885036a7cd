"""The command line, as a program uses it: exit status and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.regression.exact import exact

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.regression.materials import Materials

__all__ = ["commands"]


def commands(materials: Materials) -> Any:
    """What three commands answer about the damaged network, and about a file that is not there."""
    first, last, damaged = materials.epochs[0], materials.last, materials.damaged
    return {
        "analyze": _run("analyze", damaged),
        "rank": _run("rank", first, last, damaged),
        "compare": _run("compare", last, damaged),
        "no such file": _run("analyze", materials.folder / "nowhere.safetensors"),
    }


def _run(command: str, *sources: Path) -> Any:
    arguments = [sys.executable, "-m", "wwopt", command, *map(str, sources), "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return {"status": done.returncode, "answer": exact(json.loads(done.stdout)) if done.stdout else None}
