"""Names that come from files, as they may be shown to people."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: object) -> str:
    r"""Replace every character that would not be seen, or would act on a terminal, by its escape.

    Examples
    --------
    >>> printable("fc\x1b[2J")
    'fc\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
