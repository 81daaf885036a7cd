"""Exit codes that every command shares."""

from __future__ import annotations

__all__ = ["BAD_INPUT", "DONE", "FINDING", "INTERRUPTED"]

DONE = 0
FINDING = 1  # the command worked, and found something broken or missing
BAD_INPUT = 2  # the command line or an input is wrong; a line on stderr names the fault
INTERRUPTED = 130  # by Ctrl-C, as shells count it
