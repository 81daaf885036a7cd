"""`Coding`: how a quantised weight is stored."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Coding"]


@dataclass(frozen=True)
class Coding:
    """How a quantised weight is stored.

    Attributes
    ----------
    form : str
        For people: ``GPTQ, 4 bits, groups of 64``.
    bits : int
        Of a value.
    block : tuple of (int, int)
        Rows and columns that share a scale, of the weight as a matrix (outputs, everything else); 0 for all of them.
    """

    form: str
    bits: int
    block: tuple[int, int] = (0, 0)
