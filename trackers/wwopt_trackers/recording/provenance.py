"""Provenance of a run: the program, its git commit, and the user."""

from __future__ import annotations

import getpass
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["provenance"]


@cache
def provenance() -> dict[str, str]:
    """Program, git commit and user as MLflow names them; what is not known is left out."""
    program = Path(sys.argv[0] or ".").absolute()
    known = {"source.name": program.name, "source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # a user without a name
        known["user"] = getpass.getuser()
    with suppress(OSError, subprocess.SubprocessError):  # no git, or no repository
        command = ["git", "-C", str(program.parent), "rev-parse", "HEAD"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)  # noqa: S603
        known["source.git.commit"] = found.stdout.strip()
    return known
