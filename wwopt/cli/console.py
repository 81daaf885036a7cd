"""Terminal output: consoles, tables, numbers, warnings and the examples of help pages."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wwopt.text import printable

__all__ = ["WIDE", "examples", "new_table", "number", "open_console", "plain", "warn"]

WIDE = 110  # characters from which on every column of a table fits
UNBOUNDED = 400


def open_console() -> Console:
    """Open standard output; a pipe gets no colours, and lines of up to `UNBOUNDED` characters."""
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if bounded else UNBOUNDED, highlight=False)


def new_table(title: str = "") -> Table:
    """Create an empty table in the style that all commands share."""
    return Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)


def plain(text: object) -> Text:
    """Escape text from a file, so that it is neither markup nor a terminal's control sequence."""
    return Text(printable(text))


def number(value: float | None, digits: int = 2) -> str:
    """Format a number for a table; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if float(value).is_integer() and digits == 2 else f"{value:.{digits}f}"


def warn(message: str) -> None:
    """Print a message as one line on stderr."""
    sys.stderr.write(f"wwopt: {printable(' '.join(message.split()))}\n")


def examples(commands: Mapping[str, str]) -> str:
    """Lay out the examples at the foot of a help page: a command line each, and what it does."""
    lines = [f"[bold]wwopt {command}[/bold]  [dim]# {purpose}[/dim]" for command, purpose in commands.items()]
    return "\n\n".join(["Examples:", *lines])
