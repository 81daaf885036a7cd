"""A ranking of language models: by how a text surprises them, or without one by text that they write themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from wwopt.ranking.rows import BROKEN, NOT_MEASURED, RANKED
from wwopt.sources import Kind
from wwopt.text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.arrays import Floats
    from wwopt.consensus import Verdict
    from wwopt.response.language import OwnText
    from wwopt.sources import Candidate

__all__ = ["CONTEXT", "SURPRISE", "by_surprise", "ordered_by_text", "text_remarks", "texts_of"]

CONTEXT, SURPRISE = "context", "surprise"
Z = 1.96  # standard errors on either side of an interval of 95%


def texts_of(
    candidates: Sequence[Candidate], *, seed: int = 0, progress: bool | None = None
) -> dict[str, OwnText | str]:
    """Let language models write; a model whose outputs are not finite has a reason instead.

    Empty where the candidates are not all modules, and all language models.
    """
    modules: dict[str, Any] = {
        one.name: one.source.value for one in candidates if one.source and one.source.kind is Kind.MODULE
    }
    if len(modules) < len(candidates) or len(modules) < 2:
        return {}
    from wwopt.response.language import speaks, write_text  # noqa: PLC0415  (loads torch)

    if not all(speaks(model) for model in modules.values()):
        return {}
    texts: dict[str, OwnText | str] = {}
    with tqdm(modules.items(), desc="texts", unit="network", leave=False, delay=0 if progress else 1,
              disable=None if progress is None else not progress) as bar:  # fmt: skip
        for name, model in bar:
            try:
                texts[name] = write_text(model, seed=seed)
            except ValueError as error:
                texts[name] = one_line(error)
    return texts


def ordered_by_text(table: pd.DataFrame, texts: Mapping[str, OwnText | str]) -> pd.DataFrame:
    """Put a table of weights in the order of what context tells; those that repeat themselves, or are broken, last."""
    written = {name: text for name, text in texts.items() if not isinstance(text, str)}
    found = [written.get(str(name)) for name in table.index]
    status, note = [], []
    for name, old, words, text in zip(table.index, table["status"], table["note"], found, strict=True):
        reason = texts.get(str(name), "")
        if isinstance(reason, str) and reason:
            status.append(BROKEN)
            note.append("; ".join(filter(None, [words, reason])))
            continue
        unmeasured = old == NOT_MEASURED and text is not None
        status.append(RANKED if unmeasured else old)
        said = [f"its weights were not measured: {words}" if unmeasured else words]
        note.append("; ".join(filter(None, [*said, "it repeats itself" if text and text.repeats else ""])))
    gain, error = (np.array([math.nan if text is None else getattr(text, name) for text in found]) for name in
                   ("context", "error"))  # fmt: skip
    best = _best(gain, error, status, found)
    numbers: dict[str, Any] = {
        "value": gain,
        "entropy_rate": [math.nan if text is None else text.entropy_rate for text in found],
        "new": [math.nan if text is None else text.new for text in found],
    }
    table = table.drop(columns="value").assign(status=status, note=note, low=gain - Z * error, high=gain + Z * error)
    for place, (column, values) in enumerate(numbers.items()):
        table.insert(place + 1, column, values)
    table[["rank_low", "rank_high"]] = math.nan
    table["tied"] = (table["status"] == RANKED) & (best[0] - gain <= Z * np.sqrt(error**2 + best[1] ** 2))
    kinds = (RANKED, BROKEN)
    keys = [
        (kinds.index(one) if one in kinds else len(kinds), bool(text and text.repeats), -value if text else math.inf)
        for one, text, value in zip(status, found, gain.tolist(), strict=True)
    ]
    table = table.iloc[sorted(range(len(table)), key=keys.__getitem__)]
    return table.assign(rank=np.where(table["status"].isin(kinds), np.arange(1, len(table) + 1), math.nan))


def text_remarks(table: pd.DataFrame) -> Iterator[str]:
    """Say what makes an order by a model's own text less certain than it looks."""
    yield (
        "A model that is surer than it should be looks better by its own text. If there is any text of the task, "
        "give it as `inputs`."
    )
    for what, names in (
        ("Broken, and ranked behind all others", table.index[table["status"] == BROKEN]),
        ("Repeat themselves, and come behind the others", table.index[table["note"].str.contains("repeats itself")]),
    ):
        if len(names):
            yield f"{what}: {', '.join(map(str, names))}."
    tied = table.index[table["tied"] & (table["rank"] > 1)]
    if len(tied):
        yield f"{table.index[0]} ties with {', '.join(map(str, tied))}: their texts do not tell which is better."


def by_surprise(verdict: Verdict, surprises: Floats) -> Verdict:
    """Order language models by the text they were asked, whose next tokens are its labels, behind the same gates.

    Parameters
    ----------
    verdict : Verdict
        Of their answers, which tells who is sound: agreement on next tokens hardly orders language models.
    surprises : ndarray, shape (networks,)
        Mean negative log-likelihood of the text, in nats; NaN where it is not known.
    """
    able = np.isfinite(verdict.values) & np.isfinite(surprises)
    values = np.where(able, -surprises, math.nan)
    places = {network: place for place, network in enumerate(verdict.order)}
    order = tuple(sorted(places, key=lambda i: (not able[i], -values[i] if able[i] else 0.0, places[i])))
    reason = f"The text surprises it least, by {surprises[order[0]]:.3f} nats for each token."
    return replace(verdict, order=order, values=values, can_tell=True, reason=reason, rung="inputs")


def _best(gain: Floats, error: Floats, status: Sequence[str], texts: Sequence[OwnText | None]) -> tuple[float, float]:
    """What context tells the best sound model, and the standard error of that."""
    sound = [i for i, (one, text) in enumerate(zip(status, texts, strict=True))
             if one == RANKED and text is not None and not text.repeats]  # fmt: skip
    best = max(sound, key=lambda i: float(gain[i]), default=None)
    return (math.nan, math.nan) if best is None else (float(gain[best]), float(error[best]))
