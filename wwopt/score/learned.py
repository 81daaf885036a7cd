"""`learned_share`: how far what the layers show was learned, by what neighbours share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats

__all__ = ["invariant", "learned_share"]

CHANCE = (0.0, 0.05)  # correlation of neighbours up to which nothing was learned, and from which on all counts
CONSTRUCTED = (0.65, 0.8)  # overlap of weak directions from which on neighbours were made to fit, and surely so


def learned_share(analysis: Analysis) -> float:
    """Share, from 0 to 1, to which a network's layers were fitted to each other as training does.

    0 where no layer correlates with its neighbours beyond chance, as in any network that was drawn, whatever the
    distribution and the spectrum; and where the weak directions of neighbours are aligned too, as only construction
    makes them. 1 where no neighbour is known, or where the analysis does not tell, since it is older than 0.2 or was
    made with ``invariant=False`` or ``randomize=False``.

    Examples
    --------
    >>> import torch, wwopt
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
    >>> learned_share(wwopt.analyze(model))
    0.0
    """
    correlation = analysis.numbers["neighbour_correlation"]
    if np.isnan(correlation).all():
        return 1.0
    overlap = np.nan_to_num(analysis.numbers["weak_overlap"], nan=0.0)
    return _ramp(float(np.nanmax(correlation)), CHANCE) * (1 - _ramp(float(overlap.max()), CONSTRUCTED))


def invariant(numbers: Mapping[str, Floats], name: str) -> Floats:
    """Column of a metric with the scales of units fixed; of the weights as they are where that is not known."""
    column = numbers[f"invariant_{name}"]
    return np.where(np.isnan(column), numbers[name], column)


def _ramp(x: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return min(max((x - low) / (high - low), 0.0), 1.0)
