"""Reasons why no layer of a network was measured, and what to do about them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["explain_unmeasured"]

FEW = re.compile(r"(\d+) eigenvalues, fewer than min_evals=\d+")
PART = "part of "  # of a quantised weight: beside the reason why that was left out, it says nothing
SHOWN = 2  # kinds of reasons that are named
ADVICE = {
    r"more than max_evals": "Raise `max_evals`.",
    r"not in `include`|in `exclude`": "Check `include` and `exclude` against the names in `skipped`.",
    r"meta device": "Load the weights before the analysis.",
    r"Download the file": "",  # the reason says what to do
    r"quantized|dtype": "Analyse the model as it was before it was quantised.",
    r"not initialised": "Call the model once, so that its lazy layers know their shapes.",
    r"DoRA": "",
    r"low-rank adapter": "`wwopt adapter` has the table that fits an adapter.",
    r"base model": "Check that `base` is the model that this one was tuned from.",
    r"FSDP|several devices": "Gather a full state dict and analyse that.",
}


def explain_unmeasured(skipped: Sequence[tuple[str, str]]) -> str:
    """Say why weights were left out, the commonest reasons first, and what to do about the first.

    Parameters
    ----------
    skipped : sequence of (str, str)
        Names of weights, and the reasons.

    Examples
    --------
    >>> explain_unmeasured([("fc", "10 eigenvalues, fewer than min_evals=50")])
    'fc: 10 eigenvalues, fewer than min_evals=50. Lower `min_evals` to 10 or less.'
    """
    if not skipped:
        return "the source holds no weight matrix."
    groups: dict[str, list[tuple[str, str]]] = {}
    layers = [(name, reason) for name, reason in skipped if not reason.startswith(PART)]
    for name, reason in layers or skipped:
        groups.setdefault(FEW.sub("few", reason), []).append((name, reason))
    common = sorted(groups.values(), key=len, reverse=True)[:SHOWN]
    named = "; ".join(_named(group) for group in common)
    return f"{named}. {_advice(common[0])}".rstrip()


def _named(group: Sequence[tuple[str, str]]) -> str:
    name, reason = max(group, key=lambda entry: _evals(entry[1]))
    more = len(group) - 1
    alike = f", and {more} more weight{'s' * (more > 1)} alike" if more else ""
    return f"{name}: {reason}{alike}"


def _evals(reason: str) -> int:
    match = FEW.fullmatch(reason)
    return int(match[1]) if match else 0


def _advice(group: Sequence[tuple[str, str]]) -> str:
    most = max(_evals(reason) for _, reason in group)
    if most > 1:
        return f"Lower `min_evals` to {most} or less."
    reason = group[0][1]
    return next((advice for pattern, advice in ADVICE.items() if re.search(pattern, reason)), "")
