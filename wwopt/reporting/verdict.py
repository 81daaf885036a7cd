"""`judge`: the verdict on a network, a headline with findings and advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from wwopt.null import STRONG_TRAP
from wwopt.plots import Scale, scale_of

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["FINDINGS", "Advice", "Finding", "Verdict", "judge"]

Mask = Callable[[pd.DataFrame], "pd.Series[bool]"]


@dataclass(frozen=True)
class Finding:
    """Condition of layers that is worth a remark.

    Attributes
    ----------
    key : str
        Identifier, for programs.
    severity : {"broken", "warning"}
        Whether a network with such a layer cannot be used, or needs attention.
    holds : callable
        Maps a table of layers to a mask of those in this condition.
    singular, plural : str
        Predicate for one layer, and for several.
    advice : str
        Explanation, and what to do.
    """

    key: str
    severity: Literal["broken", "warning"]
    holds: Mask
    singular: str
    plural: str
    advice: str


FINDINGS = (
    Finding(
        "non-finite",
        "broken",
        lambda rows: rows["status"] == "non-finite",
        "holds values that are not finite",
        "hold values that are not finite",
        "The training diverged or the file is damaged. Go back to the last checkpoint without them; a lower learning "
        "rate, a warm-up, gradient clipping or a wider number format keep it from coming back.",
    ),
    Finding(
        "degenerate",
        "broken",
        lambda rows: rows["status"] == "degenerate",
        "is degenerate (zeros, or of rank one)",
        "are degenerate (zeros, or of rank one)",
        "Such a layer passes on nothing, or one number. Look for dead units, a layer that was pruned away or never "
        "initialised, and weight decay that is too strong.",
    ),
    Finding(
        "failed",
        "warning",
        lambda rows: rows["status"] == "failed",
        "has no power law",
        "have no power law",
        "No tail could be fitted, so alpha says nothing there. Judge these layers by their rank.",
    ),
    Finding(
        "trapped",
        "warning",
        lambda rows: rows["trap_energy"] > STRONG_TRAP,
        f"has over {STRONG_TRAP:.0%} of its energy in stray elements",
        f"have over {STRONG_TRAP:.0%} of their energy in stray elements",
        "A few elements dominate: a correlation trap. Mostly the learning rate was too high at some point; embeddings "
        "of rare tokens show it too. Weaker traps are common in good networks.",
    ),
    Finding(
        "under-trained",
        "warning",
        lambda rows: rows["warning"] == "under-trained",
        "is under-trained by its alpha",
        "are under-trained by their alphas",
        "The tail of the spectrum falls off almost as noise does. Longer training, more data or a higher learning rate "
        "for these layers bring alpha down; a layer that stays there is a candidate for pruning.",
    ),
    Finding(
        "over-trained",
        "warning",
        lambda rows: rows["warning"] == "over-trained",
        "is over-trained by its alpha",
        "are over-trained by their alphas",
        "A few directions carry almost everything. Look at the stable rank: a small one says that the layer collapsed "
        "or memorises. Less training, a lower learning rate or more regularisation helps; embeddings are often there.",
    ),
    Finding(
        "noise",
        "warning",
        lambda rows: rows["warning"] == "noise",
        "cannot be told from noise",
        "cannot be told from noise",
        "A random matrix of the same shape has such a spectrum, whatever its alpha: the layer has learned nothing yet, "
        "or too little to show in a matrix of its size. Its alpha should not be read.",
    ),
)


@dataclass(frozen=True)
class Advice:
    """A finding, and the row numbers of its layers."""

    finding: Finding
    rows: tuple[int, ...]

    @property
    def count(self) -> str:
        """The finding with its number of layers, as text."""
        number = len(self.rows)
        return f"1 layer {self.finding.singular}" if number == 1 else f"{number} layers {self.finding.plural}"


@dataclass(frozen=True)
class Verdict:
    """Verdict on a network: tone, headline, sentence, and advice with the most severe first."""

    tone: Literal["broken", "warning", "sound", "unknown"]
    headline: str
    sentence: str
    advice: tuple[Advice, ...]


def judge(analysis: Analysis) -> Verdict:
    """Judge a network by the states of its layers; a score only orders networks of one kind."""
    rows = analysis.details
    if rows.empty:
        return Verdict("unknown", "Nothing to judge", f"{_left_out(analysis)}, and no layer was analysed.", ())
    advice = tuple(
        Advice(finding, tuple(found))
        for finding in FINDINGS
        if (found := [row for row, holds in enumerate(finding.holds(rows)) if holds])
    )
    within = _within(rows, scale_of(analysis))
    severities = {entry.finding.severity for entry in advice}
    if "broken" in severities:
        return Verdict("broken", "Broken", _sentence(within, advice, "broken"), advice)
    if "warning" in severities:
        return Verdict("warning", "Worth a look", _sentence(within, advice, "warning"), advice)
    return Verdict("sound", "No layer stands out", within, advice)


def _sentence(within: str, advice: tuple[Advice, ...], severity: str) -> str:
    found = [entry.count for entry in advice if entry.finding.severity == severity]
    return f"{_listed(found)}. {within}"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _within(rows: pd.DataFrame, scale: Scale) -> str:
    alpha = rows["alpha"].dropna()
    if alpha.empty:
        return f"None of {_layers(len(rows))} has an alpha."
    inside = int(alpha.between(scale.low, scale.high).sum())
    band = f"between {scale.low:g} and {scale.high:g}"
    return f"{inside} of {_layers(len(rows))} lie {band}; the median alpha is {alpha.median():.2f}."


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _left_out(analysis: Analysis) -> str:
    count = len(analysis.skipped)
    return "1 weight was left out" if count == 1 else f"{count} weights were left out"
