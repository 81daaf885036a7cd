"""Merges of an adapter into its base: what rounding takes before, and whether all of it was added, and once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.low_rank.update import Update

__all__ = ["ROUNDING", "judge_merge", "lost_to_rounding"]

ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # largest relative error of an element
CLOSE = 0.05  # relative deviation of a factor up to which it counts as one, and of what is left
MERGED, ABSENT, TWICE = "merged", "not merged", "merged twice"


def lost_to_rounding(original: Floats, change: Floats, dtype: str) -> float:
    """Share of a change that a merge in a type of 16 bits would lose: the norm of the rounding error over the change's.

    Examples
    --------
    >>> W = np.random.default_rng(0).normal(size=(40, 30))
    >>> lost_to_rounding(W, 0.1 * W, "float32"), lost_to_rounding(W, 1e-4 * W, "bfloat16") > 1
    (0.0, True)
    """
    if dtype not in ROUNDING:
        return 0.0
    merged, size = original + change, float(np.linalg.norm(change))
    rounded = merged.astype(np.float16).astype(np.float64) if dtype == "float16" else _bfloat16(merged)
    return float(np.linalg.norm(rounded - merged)) / size if size > 0 else math.nan


def _bfloat16(values: Floats) -> Floats:
    bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32).astype(np.float64)


def judge_merge(update: Update, original: Floats, merged: Floats, dtype: str) -> tuple[str, float]:
    """Say how a layer of a merged model relates to what it should be.

    Parameters
    ----------
    update : Update
        What was to be added.
    original, merged : array, shape (outputs, inputs)
        Weights before and after.
    dtype : str
        Type that the merged weight is stored in, whose rounding is allowed for.

    Returns
    -------
    tuple of (str, float)
        ``merged``, ``not merged``, ``merged twice``, ``scaled by 0.5`` or ``changed otherwise``; and the factor by
        which the change was added.
    """
    change, found = update.product, merged - original
    size = float(np.linalg.norm(change))
    if not (size > 0 and np.isfinite(found).all()):
        return ("not finite" if size > 0 else "nothing to merge"), math.nan
    factor = float(np.sum(found * change)) / size**2
    allowed = CLOSE + 1.2 * ROUNDING.get(dtype, 2.0**-23) * float(np.linalg.norm(original)) / size
    rest = float(np.linalg.norm(found - factor * change)) / size
    if rest > allowed * max(1.0, abs(factor)):
        return "changed otherwise", factor
    for verdict, expected in ((MERGED, 1.0), (ABSENT, 0.0), (TWICE, 2.0)):
        if abs(factor - expected) <= allowed:
            return verdict, factor
    return f"scaled by {factor:.3g}", factor
