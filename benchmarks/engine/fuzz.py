"""Analyse damaged checkpoints: ``python -m benchmarks.engine.fuzz [--cases 4000] [--seed 0]``.

Each must give an analysis or raise a documented error, within limits of processor time and memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import wwopt
from benchmarks.engine.mutations import SEEDS, mutate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Findings", "fuzz"]

LONGEST = 5.0  # seconds of processor time that a file of a few kilobytes may take
MEMORY = 1 << 29  # bytes of address space that it may take
STATUSES = {"success", "non-finite", "degenerate", "failed"}


class TimeLimitError(BaseException):
    """The limit of processor time is reached; no handler of `Exception` catches it."""


@dataclass
class Findings:
    """Outcomes by format, wrong outcomes, and the longest processor time in seconds."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0

    def __str__(self) -> str:
        """One line for each format and outcome, then each finding."""
        lines = [f"{count:6} {name:16} {outcome}" for (name, outcome), count in sorted(self.outcomes.items())]
        return "\n".join([*lines, f"longest: {self.longest:.2f} s", *self.wrong])


def fuzz(cases: int, seed: int = 0, *, keep: Path | None = None) -> Findings:
    """Damage files and analyse them; files with a wrong outcome are saved in ``keep``."""
    findings = Findings()
    names = list(SEEDS)
    with tempfile.TemporaryDirectory() as folder, _limits(), warnings.catch_warnings():
        warnings.filterwarnings("error", module="wwopt")
        warnings.filterwarnings("ignore", "Duplicate name")
        for case in range(cases):
            name = names[case % len(names)]
            suffix, content = SEEDS[name]
            damaged = mutate(content, suffix, random.Random(f"{seed} {name} {case // len(names)}"))
            path = Path(folder, f"case{suffix}")
            path.write_bytes(damaged)
            start = time.process_time()
            outcome = _outcome(path)
            findings.longest = max(findings.longest, time.process_time() - start)
            findings.outcomes[name, outcome] += 1
            if outcome not in ("analysed", "ValueError"):
                findings.wrong.append(f"case {case} of seed {seed}, {name}: {outcome}")
                if keep is not None:
                    (keep / f"{seed}-{case}{suffix}").write_bytes(damaged)
    return findings


def _outcome(path: Path) -> str:
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        analysis = wwopt.analyze(path, min_evals=2, device="cpu")
        return "analysed" if set(analysis.details["status"]) <= STATUSES else "an unknown status"
    except ValueError as error:
        if path.name not in str(error) and "layer" not in str(error):
            return f"an error that does not name the file: {error}"
        return "out of memory" if isinstance(error.__cause__, MemoryError) else "ValueError"
    except TimeLimitError:
        return f"over {LONGEST:.0f} s"
    except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
        return repr(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@contextmanager
def _limits() -> Iterator[None]:
    """Let the time limit of a file raise, and limit the memory beyond what is in use now."""
    wwopt.analyze({"a": np.eye(3)}, min_evals=2)  # loads what is to be loaded
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, _raise)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _raise(*_: object) -> None:
    raise TimeLimitError


def main() -> int:
    """Print the outcomes; exit status 1 where one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files with a wrong outcome")
    options = parser.parse_args()
    findings = fuzz(options.cases, options.seed, keep=options.keep)
    print(findings)
    print(f"{options.cases} files, {len(findings.wrong)} findings")
    return bool(findings.wrong)


if __name__ == "__main__":
    sys.exit(main())
