"""`Thresholds`: the limits beyond which a change is an alert."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

__all__ = ["Thresholds"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits beyond which a change is an alert; see docs/watching.md for the evidence.

    Attributes
    ----------
    distance : float
        ``|B - A| / |A|``. At 1 the layer is as far from the reference as a matrix of zeros would be.
    shift : float
        Largest singular value of ``B - A`` over that of A. Above 1 a new direction outweighs all that the layer had.
    drift : float
        Median of all layers' shifts, from which on every layer that has shifted as far is an alert: a learning rate
        that is far too high moves the whole network.
    scale : float
        Factor by which a layer may grow or shrink, less one, where nothing compensates for it.
    steps : float
        Steps of a grid from the smallest value to the largest: 14 for four bits, 254 for eight.
    loss : float
        ``|B - A| / |A|`` of a quantised layer, whose rounding the other limits know nothing of.
    zeros : float
        Share of elements that are zero.
    clipped : float
        Share of elements that are as large as the largest.
    rank_lost : float
        Share of a layer's directions that are no longer there.
    tolerance : float
        Relative distance up to which two layers count as the same but for order or scale.

    Examples
    --------
    >>> Thresholds(distance=0.5).distance
    0.5
    """

    distance: float = 1.0
    shift: float = 1.0
    drift: float = 0.5
    scale: float = 0.1
    steps: float = 32.0
    loss: float = 0.5
    zeros: float = 0.9
    clipped: float = 0.003
    rank_lost: float = 0.1
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ValueError(f"`{field.name}` must be a finite number above 0, got {value!r}.")
