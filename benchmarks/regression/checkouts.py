"""A checkout of wwopt, and how a process is started that imports it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Checkout", "copy_scripts"]

ROOMS = ("", "objectives", "trackers")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Checkout:
    """A folder with the sources of wwopt.

    Attributes
    ----------
    root : Path
        The folder.
    scripts : Path
        Folder with a copy of this package, which is the same for all checkouts and is found before theirs.
    """

    root: Path
    scripts: Path

    def __post_init__(self) -> None:
        if not (self.root / "wwopt" / "__init__.py").is_file():
            raise ValueError(f"`root` must be a checkout of wwopt, but {self.root} has no wwopt/__init__.py.")

    def work(self, materials: Path, *flags: str) -> Any:
        """Do the works in a fresh process, and return what they gave."""
        return json.loads(self._python("-m", "benchmarks.regression.child", str(self.root), str(materials), *flags))

    def import_seconds(self, package: str) -> float:
        """Processor time of the import of a package in a fresh interpreter."""
        code = f"import time; start = time.process_time(); import {package}; print(time.process_time() - start)"
        return float(self._python("-c", code))

    def _python(self, *arguments: str) -> str:
        paths = [self.scripts, *(self.root / room for room in ROOMS)]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, "-W", "ignore", *arguments]
        done = subprocess.run(
            command, cwd=self.scripts, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.root} failed with status {done.returncode}; its own error stands above.")
        return done.stdout.splitlines()[-1]


def copy_scripts(folder: Path) -> Path:
    """Copy this package to where no checkout lies beside it."""
    shutil.copytree(
        Path(__file__).parent, folder / "benchmarks" / "regression", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder
