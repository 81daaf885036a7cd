"""`analyze_adapter`: a table that fits a low-rank adapter, whose few directions carry no power law."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wwopt.low_rank.directions import cosine, effective_rank, intruders, overlap, rank_holding
from wwopt.low_rank.merging import MERGED, judge_merge, lost_to_rounding
from wwopt.low_rank.update import Update, updates_of
from wwopt.sources import weights_of
from wwopt.weights import align_names, as_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wwopt.arrays import Floats
    from wwopt.weights import Weights

__all__ = ["AdapterAnalysis", "analyze_adapter"]

KEPT = 0.9  # share of the energy that the suggested rank keeps
FINITE, ZERO, BROKEN = "success", "zero", "non-finite"


@dataclass(frozen=True)
class AdapterAnalysis:
    """What an adapter changes, layer by layer.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per adapted layer, index ``name``: ``status`` (``success``, ``zero`` where nothing was learned,
        ``non-finite``); the rank that was given, ``rank`` (0 for DoRA, whose change is no product), and how much of it
        is used, ``effective_rank``, ``stable_rank``, and ``rank_90``, the fewest directions with 90% of the energy;
        ``norm`` of the change, and its share of the adapter's ``energy``. With a base: ``relative_norm``,
        ``intruders``, and ``rounding``, the share of the change that a merge in the base's type would lose. With
        another adapter: ``overlap`` of the output directions, ``overlap_by_chance``, and ``cosine`` of the changes.
        With a merged model: ``merge``, what became of the layer, and ``factor``, by which the change was added.
    skipped : pandas.DataFrame
        ``name`` and ``reason`` of what is not in the table.
    suggested_rank : int
        Smallest power of two with which 90% of the energy of all layers together are kept; 0 where there is none.
    findings : tuple of str
        What is wrong: values that are not finite, an adapter that learned nothing, a merge that went wrong.
    """

    table: pd.DataFrame
    skipped: pd.DataFrame
    suggested_rank: int
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def analyze_adapter(
    adapter: object, *, base: object | None = None, other: object | None = None, merged: object | None = None
) -> AdapterAnalysis:
    """Judge a low-rank adapter by what it changes: LoRA, rank-stabilised or not, and DoRA with its base.

    Parameters
    ----------
    adapter : as the source of `wwopt.analyze`
        The folder of an adapter, or a model of PEFT or its state dict, with the adapters in place.
    base : as source, optional
        The model that the adapter was trained on. A model with its adapters in place knows it.
    other : as adapter, optional
        Another adapter of the same base: how far the two change the same directions.
    merged : as source, optional
        What a merge gave: each layer is checked against ``base`` and the adapter.

    Raises
    ------
    TypeError, FileNotFoundError
        As `wwopt.analyze`.
    ValueError
        The source holds no low-rank adapter, or ``merged`` is given and no base is known.

    Examples
    --------
    >>> import torch, wwopt
    >>> model = {"q.base_layer.weight": torch.eye(40), "q.lora_A.default.weight": torch.eye(40)[:8],
    ...          "q.lora_B.default.weight": torch.eye(40)[:, :8]}
    >>> found = wwopt.analyze_adapter(model)
    >>> found.table[["rank", "effective_rank", "rank_90"]].round(3).values.tolist(), found.suggested_rank
    ([[8.0, 8.0, 8.0]], 8)
    """
    weights = weights_of(adapter)
    updates = updates_of(weights, None if base is None else weights_of(base))
    if not updates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in weights.skipped[:2])
        raise ValueError(
            f"`adapter` holds no low-rank adapter{f' ({reasons})' if reasons else ''}. Use `wwopt.analyze`."
        )
    rows = {name: _row(update) for name, update in updates.items()}
    if other is not None:
        _add_overlap(rows, updates, updates_of(weights_of(other)))
    if merged is not None:
        whole = replace(weights, matrices=(*weights.matrices, *weights.partial))
        _add_merge(rows, updates, align_names(whole, weights_of(merged)).weights)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    total = float(np.square(table["norm"]).sum())
    shares = np.square(table["norm"]) / total if total > 0 else math.nan
    table.insert(list(table).index("norm") + 1, "energy", shares)
    return AdapterAnalysis(
        table,
        pd.DataFrame([entry for entry in weights.skipped if entry[0] not in rows], columns=["name", "reason"]),
        _suggested([update.decomposed[1] for update in updates.values() if update.given]),
        tuple(_findings(table)),
    )


def _row(update: Update) -> dict[str, Any]:
    values = update.decomposed[1]
    size = float(np.linalg.norm(values))
    status = BROKEN if math.isnan(size) else FINITE if size > 0 else ZERO
    row: dict[str, Any] = {
        "status": status,
        "rank": update.given,
        "effective_rank": effective_rank(values),
        "stable_rank": (size / float(values[0])) ** 2 if status == FINITE else math.nan,
        "rank_90": rank_holding(values, KEPT) if status == FINITE else 0,
        "norm": size,
    }
    original = update.original
    if original is not None and status != BROKEN:
        whole, change = float(np.linalg.norm(original)), update.product
        row["relative_norm"] = size / whole if whole > 0 else math.nan
        row["intruders"] = intruders(original, change)
        row["rounding"] = lost_to_rounding(original, change, update.base.dtype) if update.base else math.nan
    return row


def _add_overlap(rows: dict[str, dict[str, Any]], ours: Mapping[str, Update], theirs: Mapping[str, Update]) -> None:
    for name, update in ours.items():
        other = theirs.get(name)
        fits = other is not None and other.left.shape[0] == update.left.shape[0]
        if other is not None and fits and other.right.shape[1] == update.right.shape[1]:
            common, chance = overlap(update, other)
            rows[name] |= {"overlap": common, "overlap_by_chance": chance, "cosine": cosine(update, other)}


def _add_merge(rows: dict[str, dict[str, Any]], updates: Mapping[str, Update], merged: Weights) -> None:
    layers = {matrix.name: matrix for matrix in merged.matrices}
    for name, update in updates.items():
        original, after = update.original, layers.get(name)
        if original is None:
            raise ValueError(f"`merged` is checked against a base, and none has the layer {name}. Give it as `base`.")
        if after is None:
            rows[name] |= {"merge": "missing", "factor": math.nan}
            continue
        found = as_stored(after).astype(np.float64)
        found = found if found.shape == original.shape else found.T
        fits = found.shape == original.shape
        verdict = judge_merge(update, original, found, after.dtype) if fits else ("of another shape", math.nan)
        rows[name] |= dict(zip(("merge", "factor"), verdict, strict=True))


def _suggested(spectra: Sequence[Floats]) -> int:
    """Smallest power of two that keeps most of the energy when every layer is cut to it."""
    finite = [np.square(values) for values in spectra if np.isfinite(values).all()]
    total = sum(float(energy.sum()) for energy in finite)
    if not total > 0:
        return 0
    rank = 1
    while sum(float(energy[:rank].sum()) for energy in finite) < KEPT * total * (1 - 1e-12):
        rank *= 2
    return rank


def _findings(table: pd.DataFrame) -> list[str]:
    found = []
    for status, words in ((BROKEN, "holds values that are not finite"), (ZERO, "adds nothing: a factor is zero")):
        names = [str(name) for name in table.index[table["status"] == status]]
        found += [f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {words}"] if names else []
    for name, verdict in table["merge"].items() if "merge" in table else ():
        if verdict not in (MERGED, "nothing to merge"):
            found.append(f"{name}: {verdict}")
    return found
