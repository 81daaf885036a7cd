"""Formatting of the text and numbers on the page."""

from __future__ import annotations

import math

from wwopt.text import printable

__all__ = ["LONGEST_SENTENCE", "MISSING", "clean", "format_number"]

MISSING = "\N{EN DASH}"
LONGEST_NAME = 240  # characters
LONGEST_SENTENCE = 2000  # characters of a sentence that names networks


def clean(text: object, longest: int = LONGEST_NAME) -> str:
    """Return text that is safe to show: no invisible or invalid characters, the middle of a long one left out.

    Examples
    --------
    >>> clean("layer.0.weight", longest=6)
    'lay…ght'
    """
    shown = str(text)
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[-longest // 2 :]}"
    return printable(shown)


def format_number(value: float, digits: int = 2) -> str:
    """Format a number with this many decimals; a dash where it is not finite.

    Examples
    --------
    >>> format_number(1.236)
    '1.24'
    """
    return f"{value:.{digits}f}" if math.isfinite(value) else MISSING
