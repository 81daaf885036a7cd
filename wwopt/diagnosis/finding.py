"""`Finding`: what is wrong with a layer, or with a tensor that is no layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["broken", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """What is wrong with a layer, or with a tensor that was not analysed.

    Attributes
    ----------
    key : str
        Identifier, as in ``CATALOGUE``.
    layer : str
        Name of the layer or the tensor.
    severity : {"broken", "warning", "note"}
        Whether the network cannot be used, needs attention, or is only described.
    sentence : str
        Predicate of the layer, such as "holds values that are not finite".
    advice : str
        Explanation, and what is commonly done.
    row : int or None
        Row of the layer in ``Analysis.details``; None for a tensor that was not analysed.
    """

    key: str
    layer: str
    severity: Severity
    sentence: str
    advice: str
    row: int | None = None

    def __str__(self) -> str:
        return f"{self.layer} {self.sentence}"
