"""Standings: the ranking of the networks on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wwopt.ranking import rank
from wwopt.reporting.formatting import LONGEST_SENTENCE, clean, format_number

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["standings"]


def standings(analyses: Mapping[str, Analysis]) -> dict[str, Any]:
    """Rank the networks for the page.

    Returns
    -------
    dict
        ``sentence`` names the metric, its reason and the best network, or says why nothing can be ranked; ``warnings``
        and ``metric`` are the ranking's; ``rows`` holds rank and value of each network, as text.
    """
    try:
        ranking = rank(analyses, progress=False)
    except ValueError as error:
        return {"sentence": clean(error, LONGEST_SENTENCE), "warnings": [], "metric": "", "rows": {}}
    first = f"{ranking.best} comes first"
    if ranking.ties:
        first += f", and the layers do not tell it from {', '.join(ranking.ties)}"
    return {
        "sentence": clean(f"By {ranking.metric}, since {ranking.reason}: {first}.", LONGEST_SENTENCE),
        "warnings": [clean(warning, LONGEST_SENTENCE) for warning in ranking.warnings],
        "metric": ranking.metric,
        "rows": {
            name: _standing(row)
            for name, row in zip(ranking.table.index, ranking.table.to_dict(orient="records"), strict=True)
        },
    }


def _standing(row: Mapping[Any, Any]) -> tuple[str, str]:
    """Rank and value as text, each with its interval."""
    standing, value = f"{row['rank']:.0f}", format_number(row["value"])
    if math.isfinite(row["rank_low"]) and row["rank_low"] < row["rank_high"]:
        standing += f" ({row['rank_low']:.0f} to {row['rank_high']:.0f})"
    if math.isfinite(row["low"]):
        value += f" [{format_number(row['low'])}, {format_number(row['high'])}]"
    return standing, value
