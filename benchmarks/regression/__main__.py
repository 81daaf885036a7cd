"""Compare two checkouts of wwopt bit for bit, and time them.

``python -m benchmarks.regression OLD [NEW] [--rounds 5]``: NEW is the checkout that this file lies in, where it is left
out. Prints what differs, and exits 1 on a difference. With ``--rounds`` it then times both in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.regression.checkouts import Checkout, copy_scripts
from benchmarks.regression.differences import differences, readable
from benchmarks.regression.materials import write
from benchmarks.regression.timing import timing

MOST = 50  # differences that are printed


def main() -> int:
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=Path(__file__).parents[2])
    parser.add_argument("--rounds", type=int, default=0, help="how often both are timed; 0: not at all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scripts, materials = copy_scripts(Path(name, "scripts")), Path(name, "materials")
        materials.mkdir()
        write(materials)
        old, new = (Checkout(root.resolve(), scripts) for root in (options.old, options.new))
        status = compare(old, new, materials)
        if options.rounds:
            print(timing(old, new, materials, options.rounds))
    return status


def compare(old: Checkout, new: Checkout, materials: Path) -> int:
    """Print what differs; 1 where anything does."""
    began = time.monotonic()
    before, after = old.work(materials), new.work(materials)
    found = list(differences(before, after))
    for path, ours, theirs in found[:MOST]:
        print(path, f"  old: {readable(ours)}", f"  new: {readable(theirs)}", sep="\n")
    values = _count(before)
    verdict = f"{len(found)} of {values:,} values differ" if found else f"identical: {values:,} values"
    print(f"{verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(bool(found))


def _count(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


if __name__ == "__main__":
    sys.exit(main())
