"""Exit statuses of every command."""

from __future__ import annotations

__all__ = ["BAD_INPUT", "DONE", "FINDING", "INTERRUPTED"]

DONE, FINDING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
