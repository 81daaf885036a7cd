"""Text: names from files made safe to show, natural sort order, and several names in one cell of a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["by_number", "by_reason", "join_names", "one_line", "printable", "split_names"]

SEPARATOR = " + "


def by_number(name: str) -> list[tuple[int, int, str]]:
    """Sort key that orders numbers in names by value.

    Examples
    --------
    >>> sorted(["epoch-10", "epoch-2"], key=by_number)
    ['epoch-2', 'epoch-10']
    """
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Give each reason once, with the names that it holds for.

    Examples
    --------
    >>> by_reason({"a": "it is empty", "b": "it is empty", "c": "it is torn"})
    ['a, b: it is empty', 'c: it is torn']
    """
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason, []).append(str(name))
    return [f"{', '.join(names)}: {reason}" for reason, names in groups.items()]


def one_line(text: object) -> str:
    r"""Join the lines of a text, such as another library's error, by single spaces.

    Examples
    --------
    >>> one_line("no such model:\n  digits")
    'no such model: digits'
    """
    return " ".join(str(text).split())


def printable(text: object) -> str:
    r"""Replace every character that is invisible, or that a terminal would act on, by its escape.

    Examples
    --------
    >>> printable("fc\x1b[2J")
    'fc\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def join_names(names: Iterable[str]) -> str:
    """Join names into one cell of a table, as in `Analysis.pairs`, and in the files that keep it."""
    return SEPARATOR.join(names)


def split_names(cell: str) -> list[str]:
    """Read the names back from a cell that `join_names` wrote, perhaps into a file.

    Examples
    --------
    >>> split_names(join_names(["stem", "block.down"]))
    ['stem', 'block.down']
    """
    return cell.split(SEPARATOR)
