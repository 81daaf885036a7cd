"""Adapters of one base, ranked as adapters: by the directions that are new to the base, which go with forgetting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wwopt.low_rank import AdapterAnalysis, analyze_adapter
from wwopt.ranking.rows import BROKEN, RANKED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["INTRUDERS", "NO_BASE", "adapter_remarks", "analyze_adapters", "rows_of_adapters", "why_by_intruders"]

INTRUDERS, NO_BASE = "intruders", "nothing"
ERRORS = 2.0  # standard errors of the mean difference within which two adapters tie


def why_by_intruders(*, based: bool) -> str:
    """Say why adapters are ranked as they are."""
    if based:
        return "of adapters, fewer directions that are new to the base go with less forgetting (arXiv 2410.21228)"
    return "adapters have too few directions for a power law, and without their base nothing else orders them"


def analyze_adapters(sources: Mapping[str, object], base: object | None) -> dict[str, AdapterAnalysis]:
    """Analyse each adapter beside its base, where that is given."""
    return {name: analyze_adapter(source, base=base) for name, source in sources.items()}


def rows_of_adapters(
    found: Mapping[str, AdapterAnalysis], parameters: Mapping[str, int], others: pd.DataFrame
) -> pd.DataFrame:
    """Order adapters, fewest intruders first, the broken last; before the rows of what cannot be read.

    ``value`` is the mean number of intruders of a layer, NaN where no base is known; then all tie.
    """
    rows = [
        {
            "name": name,
            "value": float(analysis.table[INTRUDERS].mean()) if INTRUDERS in analysis.table else math.nan,
            "stable_rank": float(analysis.table["stable_rank"].mean()),
            "parameters": parameters[name],
            "layers": len(analysis.table),
            "status": RANKED if analysis.ok else BROKEN,
            "note": "; ".join(analysis.findings),
        }
        for name, analysis in found.items()
    ]
    table = pd.DataFrame(rows).set_index("name")
    order = np.lexsort([table["value"], table["status"] == BROKEN])
    table = table.iloc[order]
    table["rank"] = np.arange(1, len(table) + 1)
    best = found[str(table.index[0])]
    table["tied"] = [status == RANKED and _ties(best, found[str(name)]) for name, status in table["status"].items()]
    table = table.reindex(columns=list(others))
    return (pd.concat([table, others]) if len(others) else table).astype({"tied": bool})


def adapter_remarks(table: pd.DataFrame, found: Mapping[str, AdapterAnalysis], *, based: bool) -> Iterator[str]:
    """Say what is broken, what ties, and which rank would do."""
    broken = table.index[table["status"] == BROKEN]
    if len(broken):
        yield f"Broken, and ranked behind all others: {', '.join(map(str, broken))}."
    tied = [str(name) for name in table.index[table["tied"] & (table["rank"] > 1)]]
    if tied and based:
        yield f"{table.index[0]} ties with {', '.join(tied)}: their directions do not tell which is better."
    elif tied:
        yield "All sound adapters tie. Give the model that they were trained on as `base`, or ask them by `inputs`."
    ranks = ", ".join(f"{name} {analysis.suggested_rank} of {_given(analysis)}" for name, analysis in found.items())
    yield f"Rank that keeps 90% of the change: {ranks}. `wwopt adapter` has the layers."


def _given(analysis: AdapterAnalysis) -> int:
    return int(analysis.table["rank"].max())


def _ties(best: AdapterAnalysis, other: AdapterAnalysis) -> bool:
    """Whether the layers' numbers of intruders do not tell two adapters apart."""
    if INTRUDERS not in best.table or INTRUDERS not in other.table:
        return True
    gaps: Any = (other.table[INTRUDERS] - best.table[INTRUDERS]).dropna()
    if len(gaps) < 2:
        return len(gaps) == 0 or float(gaps.iloc[0]) == 0
    return bool(gaps.mean() <= ERRORS * gaps.std() / math.sqrt(len(gaps)))
