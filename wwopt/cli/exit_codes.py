"""How every command ends, and says in a line what went wrong."""

from __future__ import annotations

import sys

from wwopt.text import printable

__all__ = ["BAD_INPUT", "DONE", "FINDING", "INTERRUPTED", "warn"]

DONE, FINDING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def warn(message: str) -> None:
    """Print a message on one line of stderr."""
    sys.stderr.write(f"wwopt: {printable(' '.join(message.split()))}\n")
