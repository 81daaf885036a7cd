"""`AdaptedLayer`: what a module tells of a layer that PEFT has put adapters on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PREFIX", "WAY_OUT", "AdaptedLayer"]

PREFIX = "base_model.model."  # of every name in a PEFT model
WAY_OUT = "Analyse what `model.merge_and_unload()` returns"  # of what cannot be merged here


@dataclass(frozen=True)
class AdaptedLayer:
    """What a module tells of a layer with adapters.

    Attributes
    ----------
    scales : mapping of str to float
        Factor on ``B A`` for each adapter that is active and not merged into the weights yet.
    transposed : bool
        Whether the weight is stored with its inputs first.
    """

    scales: Mapping[str, float]
    transposed: bool = False
