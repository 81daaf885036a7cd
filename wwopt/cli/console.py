"""What commands print to: a terminal as wide as it is, anything else as wide as a table needs."""

from __future__ import annotations

import os
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wwopt.text import printable

__all__ = ["WIDE", "new_table", "open_console", "plain"]

WIDE = 110  # characters from which on every column of a table fits
UNBOUNDED = 400


def open_console() -> Console:
    """Open standard output; colours only on a terminal, and lines are cut for none but a terminal."""
    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if bounded else UNBOUNDED, highlight=False)


def new_table(title: str) -> Table:
    """Begin a table in the house style."""
    return Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)


def plain(text: object) -> Text:
    """Text from a file, which is shown and never obeyed: not as markup, not by the terminal."""
    return Text(printable(text))
