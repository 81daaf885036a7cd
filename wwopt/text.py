"""Names that come from files: as they may be shown to people, and in an order that people expect."""

from __future__ import annotations

import re

__all__ = ["by_number", "printable"]


def by_number(name: str) -> list[tuple[int, int, str]]:
    """Key that orders epoch-2 before epoch-10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def printable(text: object) -> str:
    r"""Replace every character that would not be seen, or would act on a terminal, by its escape.

    Examples
    --------
    >>> printable("fc\x1b[2J")
    'fc\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
