"""`judge`: the verdict on a network, a headline with findings and advice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from wwopt.diagnosis import CATALOGUE, Finding
from wwopt.plots import Scale, scale_of

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.analysis import Analysis

__all__ = ["Advice", "Judgement", "judge"]


@dataclass(frozen=True)
class Advice:
    """Findings of one kind: the layers they hold for, and what is commonly done."""

    findings: tuple[Finding, ...]

    @property
    def severity(self) -> str:
        """Severity of the findings."""
        return self.findings[0].severity

    @property
    def text(self) -> str:
        """Explanation, and what is commonly done."""
        return self.findings[0].advice

    @property
    def count(self) -> str:
        """Number of layers with what is wrong with them, as text."""
        first, number = self.findings[0], len(self.findings)
        noun = "layer" if first.row is not None else "tensor"
        return f"1 {noun} {first.sentence}" if number == 1 else f"{number} {noun}s {CATALOGUE[first.key].plural}"


@dataclass(frozen=True)
class Judgement:
    """Verdict on a network: tone, headline, sentence, and advice with the most severe first."""

    tone: Literal["broken", "warning", "sound", "unknown"]
    headline: str
    sentence: str
    advice: tuple[Advice, ...]


def judge(analysis: Analysis) -> Judgement:
    """Judge a network by the states of its layers; a score only orders networks of one kind."""
    rows = analysis.details
    if rows.empty and not analysis.findings:
        return Judgement("unknown", "Nothing to judge", f"{_left_out(analysis)}, and no layer was analysed.", ())
    advice = _advice(analysis.findings)
    within = _within(rows, scale_of(analysis))
    severities = {entry.severity for entry in advice}
    if "broken" in severities:
        return Judgement("broken", "Broken", _sentence(within, advice, "broken"), advice)
    if "warning" in severities:
        return Judgement("warning", "Worth a look", _sentence(within, advice, "warning"), advice)
    return Judgement("sound", "No layer stands out", within, advice)


def _advice(findings: tuple[Finding, ...]) -> tuple[Advice, ...]:
    """Findings of each kind together: layers apart from tensors that were not analysed."""
    ordered = groupby(findings, key=lambda finding: (finding.key, finding.row is None))
    return tuple(Advice(tuple(group)) for _, group in ordered)


def _sentence(within: str, advice: tuple[Advice, ...], severity: str) -> str:
    found = [entry.count for entry in advice if entry.severity == severity]
    return f"{_listed(found)}. {within}"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _within(rows: pd.DataFrame, scale: Scale) -> str:
    alpha = rows["alpha"].dropna()
    if rows.empty:
        return "No layer was analysed."
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
