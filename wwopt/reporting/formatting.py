"""Text and numbers as the page may show them."""

from __future__ import annotations

import math

from wwopt.text import printable

__all__ = ["MISSING", "REMARK", "clean", "shown"]

MISSING = "\N{EN DASH}"
LONGEST = 240  # characters of a name that are shown
REMARK = 2000  # characters of a sentence that names networks


def clean(text: object, longest: int = LONGEST) -> str:
    """Text that can be shown: nothing invisible, nothing that is no character, not endless."""
    words = str(text)
    if len(words) > longest:
        words = f"{words[: longest // 2]}…{words[-longest // 2 :]}"
    return printable(words)


def shown(value: float, digits: int = 2) -> str:
    """Format a number; a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else MISSING
