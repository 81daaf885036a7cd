"""Description of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version

__all__ = ["describe_machine"]

PACKAGES = ("wwopt", "weightwatcher", "numpy", "scipy", "torch", "pandas")


def describe_machine() -> str:
    """Describe the machine, the versions and the load, a line each."""
    lines = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("Model name")), platform.processor())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}\n{versions}\n"
        f"load before: {os.getloadavg()[0]:.1f}"
    )
