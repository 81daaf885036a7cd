"""A ranking by what the networks answer, or by their training losses, behind the gates of the diagnosis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wwopt.consensus import Verdict, choose
from wwopt.ranking.by_language import SURPRISE, by_surprise
from wwopt.ranking.choose_metric import SCORE
from wwopt.ranking.rows import BROKEN, NOT_ASKED, NOT_MEASURED, RANKED, UNREADABLE
from wwopt.text import by_reason

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.ranking.evidence import Evidence

__all__ = ["RUNGS", "judge_candidates", "metric_of", "ordered_by", "readable_names", "verdict_remarks"]

RUNGS = {
    "weights": "weights only",
    "weights and loss": "weights and the training loss",
    "inputs": "weights and unlabelled inputs",
    "inputs and loss": "weights, unlabelled inputs and the training loss",
}
ORDER = (RANKED, BROKEN, NOT_ASKED, UNREADABLE)
AGREEMENT, LOSS = "agreement", "loss"
FEW_INPUTS = 100  # below it a share of agreement is known to 0.05 at best


def judge_candidates(table: pd.DataFrame, evidence: Evidence, sign: int) -> Verdict:
    """Choose among the candidates of a table of weights; those that cannot be read stay out.

    Parameters
    ----------
    table : pandas.DataFrame
        As `ranking_table` makes it.
    evidence : Evidence
        Answers and losses.
    sign : int
        -1 where a higher value in the table is better.
    """
    names = readable_names(table)
    status = table["status"]
    surprises = np.array([evidence.surprises.get(name, math.nan) for name in names])
    losses = surprises if evidence.surprises else [evidence.losses.get(name, math.nan) for name in names]
    verdict = choose(
        [evidence.answers.get(name) for name in names] if evidence.inputs else None,
        sound=[status[name] != BROKEN and name not in evidence.broken for name in names],
        scores=[float(sign * table["value"][name]) for name in names],
        losses=losses if np.isfinite(losses).any() else None,
        labels=evidence.labels,
        sketches=[evidence.sketches.get(name) for name in names],
        kind=evidence.kind,
    )
    return by_surprise(verdict, surprises) if evidence.surprises else verdict


def readable_names(table: pd.DataFrame) -> list[str]:
    """Names of the candidates that a verdict is about, in its order."""
    return [str(name) for name in table.index[table["status"] != UNREADABLE]]


def ordered_by(verdict: Verdict, table: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Put a table of weights in the order of a verdict: the sound, the broken, those not asked, the unreadable."""
    names = readable_names(table)
    settled = [_settled(str(name), status, note, evidence)
               for name, status, note in zip(table.index, table["status"], table["note"], strict=True)]  # fmt: skip
    table = table.assign(status=[status for status, _ in settled], note=[note for _, note in settled])
    table[["low", "high", "rank_low", "rank_high"]] = math.nan
    table["tied"] = (table["status"] == RANKED) & (not verdict.can_tell)
    numbers = {
        "value": verdict.values,  # noqa: PD011  (of a verdict, not of a table)
        "agreement": np.where([name in evidence.answers for name in names], verdict.agreement, math.nan),
        "competence": verdict.competence,
        "vote": verdict.votes,
        "loss": [evidence.losses.get(name, math.nan) for name in names],
    }
    table = table.drop(columns="value")
    for place, (column, values) in enumerate(numbers.items()):
        found = dict(zip(names, np.asarray(values, dtype=float).tolist(), strict=True))
        table.insert(place + 1, column, [found.get(str(name), math.nan) for name in table.index])
    places = {names[i]: place for place, i in enumerate(verdict.order)}
    keys = [(ORDER.index(status), places.get(str(name), len(names))) for name, status in table["status"].items()]
    table = table.iloc[sorted(range(len(table)), key=keys.__getitem__)]
    counted = table["status"].isin([RANKED, BROKEN])
    return table.assign(rank=np.where(counted, np.arange(1, len(table) + 1), math.nan))


def metric_of(verdict: Verdict, table: pd.DataFrame, evidence: Evidence, sign: int) -> str:
    """Say in a word what the candidates are ordered by: where answers cannot tell, perhaps the loss or the score alone.

    Parameters
    ----------
    verdict : Verdict
        Of `judge_candidates`, by the same ``table``, ``evidence`` and ``sign``.
    """
    if evidence.surprises:
        return SURPRISE
    names, values = readable_names(table), np.asarray(verdict.values)
    known = {LOSS: [-evidence.losses.get(name, math.nan) for name in names],
             SCORE: [-sign * float(table["value"][name]) for name in names]}  # fmt: skip
    judged = np.isfinite(values)
    alone = (what for what, numbers in known.items() if np.array_equal(values[judged], np.array(numbers)[judged]))
    return AGREEMENT if verdict.can_tell else next(alone, AGREEMENT)


def verdict_remarks(verdict: Verdict, table: pd.DataFrame, evidence: Evidence, names: Sequence[str]) -> Iterator[str]:
    """Say what a verdict rests on, and what makes it less certain than it looks."""
    if evidence.inputs and not verdict.can_tell:
        yield f"The answers cannot tell which is best. {verdict.reason}"
    if evidence.remark:
        yield evidence.remark
    if 0 < evidence.inputs < FEW_INPUTS:
        yield f"Only {evidence.inputs} inputs were asked, so an agreement is uncertain by 0.05 and more: give hundreds."
    if evidence.surprises:
        yield (
            "Language models are ranked by the likelihood of the text, since its next tokens are the labels. One that "
            "learned the text of the training by heart comes first there: give other text, if there is any."
        )
    if verdict.contradiction is not None:
        yield f"The vote contradicts {verdict.contradiction:.0%} of the labels that came with the inputs."
    broken = table.index[table["status"] == BROKEN]
    if len(broken):
        yield f"Broken, and ranked behind all others: {', '.join(map(str, broken))}."
    voiceless = {names[i]: why for i, why in verdict.no_vote.items() if table["status"][names[i]] == RANKED}
    yield from (f"Without a vote: {line}." for line in by_reason(voiceless))
    unasked = table[table["status"] == NOT_ASKED]["note"]
    yield from (f"Not asked, which says nothing about them: {line}" for line in by_reason(dict(unasked)))


def _settled(name: str, status: str, note: str, evidence: Evidence) -> tuple[str, str]:
    """Status and note of a candidate: one that was not measured may have been asked, and the other way round."""
    asked = name in evidence.answers if evidence.inputs else name in evidence.losses
    if name in evidence.broken and status != UNREADABLE:
        return BROKEN, "; ".join(filter(None, [note, evidence.broken[name]]))
    if status == NOT_MEASURED and asked:
        return RANKED, f"its weights were not measured: {note}"
    if status in (RANKED, NOT_MEASURED) and not asked:
        return NOT_ASKED, evidence.unasked.get(name, "no loss was given")
    return status, note
