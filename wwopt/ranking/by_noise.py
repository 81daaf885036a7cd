"""A ranking of modules by their weights and by their answers to noise, which needs no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from wwopt.consensus.agree import agreement_of
from wwopt.consensus.answers import read_answers
from wwopt.consensus.twins import sketch, twins
from wwopt.ranking.rows import NOTHING_LEARNED, RANKED
from wwopt.score import AlphaScore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wwopt.arrays import Flags, Floats
    from wwopt.ranking.rows import Network

__all__ = ["METRIC", "ordered_by_noise"]

METRIC = "scores and noise"
FEWEST = 5  # networks that learned something, below which their vote tells nothing


def ordered_by_noise(
    table: pd.DataFrame, networks: Sequence[Network], modules: Mapping[str, Any], shape: Sequence[int] | None, seed: int
) -> pd.DataFrame | None:
    """Order networks half by their scores, half by their agreement on noise.

    Scores of one kind each miss some faults: the ranks by `AlphaScore` and by the recommended score are averaged. The
    networks vote on noise, each with the square of that rank, and the mean of it and the rank by agreement decides.

    Parameters
    ----------
    table : pandas.DataFrame
        As `ranking_table` makes it, by the recommended score.
    networks : sequence of Network
        Whose scores are taken.
    modules : mapping of str to torch.nn.Module
        The networks themselves, by their names.
    shape : sequence of int, optional
        Of one input; found by trying.
    seed : int
        Seed of the noise.

    Returns
    -------
    pandas.DataFrame or None
        With a column ``agreement``, and the mean rank as ``value``. Those that learned nothing, and those that are
        broken, stay behind the others. None where the networks cannot be compared: fewer than five have learned
        something, one is no module or fails on the noise, or they answer in several shapes.
    """
    ranked = table[table["status"] == RANKED]
    names = [str(name) for name in ranked.index]
    learned = (ranked["note"] != NOTHING_LEARNED).to_numpy()
    if learned.sum() < FEWEST or not set(names) <= set(modules):
        return None
    answers = _answers([modules[name] for name in names], shape, seed)
    if answers is None:
        return None
    learned = learned & [bool(np.isfinite(one).all()) for one in answers]
    alpha = {network.name: AlphaScore()(network.analysis) for network in networks}
    scores = rankdata([alpha[name] for name in names]) + rankdata(ranked["score"])
    agreement = _agreement(answers, scores, learned)
    values = (rankdata(scores) + rankdata(-agreement)) / 2
    order = np.lexsort([scores, values, ~learned])
    columns = {"value": values, "low": math.nan, "high": math.nan, "rank_low": math.nan, "rank_high": math.nan}
    ordered = ranked.assign(**columns, agreement=agreement, tied=False).iloc[order]
    rest = table[table["status"] != RANKED].assign(value=math.nan, agreement=math.nan, low=math.nan, high=math.nan)
    whole = pd.concat([ordered, rest])
    whole.insert(2, "agreement", whole.pop("agreement"))
    counted = whole["rank"].notna()
    return whole.assign(rank=np.where(counted, np.arange(1, len(whole) + 1), math.nan)).astype({"tied": bool})


def _answers(models: Sequence[Any], shape: Sequence[int] | None, seed: int) -> list[Floats] | None:
    """Outputs of each network for the same noise; None where one has none, or others in another shape."""
    from wwopt.response.ask import ask  # noqa: PLC0415  (loads torch)
    from wwopt.response.common_noise import noise_for  # noqa: PLC0415
    from wwopt.response.probe_set import ProbeSet  # noqa: PLC0415

    noise = noise_for(models, shape, seed=seed)
    if noise is None:
        return None
    probes = ProbeSet(tuple(noise))
    try:
        answers = [ask(model, probes, seed=seed) for model in models]
    except (TypeError, ValueError):
        return None
    return answers if len({one.shape for one in answers}) == 1 else None


def _agreement(answers: Sequence[Floats], scores: Floats, learned: Flags) -> Floats:
    """Agreement with the vote of those that learned something, each with the square of its rank by the scores."""
    kin = twins([sketch(one) for one in answers])
    weights = np.zeros(len(scores))
    weights[learned] = np.square(rankdata(-scores[learned]) / learned.sum())
    classes = [one.argmax(axis=-1) if one.shape[-1] > 1 else (one[..., 0] > 0).astype(np.int64) for one in answers]
    return agreement_of(read_answers(classes, "classes"), weights / kin.sum(axis=1), kin)
