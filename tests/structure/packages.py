"""The files and modules of the three packages."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "wwopt": ROOT / "wwopt",
    "wwopt_objectives": ROOT / "objectives" / "wwopt_objectives",
    "wwopt_trackers": ROOT / "trackers" / "wwopt_trackers",
}


def files(package):
    """Return the Python files of a package, in order."""
    return sorted(PACKAGES[package].rglob("*.py"))


def modules():
    """Return the dotted names of all modules but the `__main__` programs."""
    for package, folder in PACKAGES.items():
        for path in files(package):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            if parts[-1] != "__main__":
                yield ".".join(part for part in parts if part != "__init__")
