"""Where each of several networks stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wwopt.ranking import rank
from wwopt.reporting.formatting import REMARK, clean, shown

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["places"]


def places(analyses: Mapping[str, Analysis]) -> dict[str, Any]:
    """Rank the networks, with the metric's reason and what speaks against it; or say why that cannot be done."""
    try:
        ranking = rank(analyses, progress=False)
    except ValueError as error:
        return {"words": clean(error, REMARK), "warnings": [], "metric": "", "rows": {}}
    first = f"{ranking.best} comes first"
    if ranking.ties:
        first += f", and the layers do not tell it from {', '.join(ranking.ties)}"
    return {
        "words": clean(f"By {ranking.metric}, since {ranking.reason}: {first}.", REMARK),
        "warnings": [clean(warning, REMARK) for warning in ranking.warnings],
        "metric": ranking.metric,
        "rows": {
            name: _place(row)
            for name, row in zip(ranking.table.index, ranking.table.to_dict(orient="records"), strict=True)
        },
    }


def _place(row: Mapping[Any, Any]) -> tuple[str, str]:
    """Rank and value, each with its interval."""
    place, value = f"{row['rank']:.0f}", shown(row["value"])
    if math.isfinite(row["rank_low"]) and row["rank_low"] < row["rank_high"]:
        place += f" ({row['rank_low']:.0f} to {row['rank_high']:.0f})"
    if math.isfinite(row["low"]):
        value += f" [{shown(row['low'])}, {shown(row['high'])}]"
    return place, value
