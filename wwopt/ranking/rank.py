"""`rank`: which of several networks is probably the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from wwopt.engine.check_options import check_options
from wwopt.engine.settings import Settings
from wwopt.ranking.architecture import Profile, are_family, are_same, profile_of
from wwopt.ranking.intervals import rank_draws
from wwopt.ranking.metric import ALPHA_WEIGHTED, SCORE, Choice, Judge, choose
from wwopt.score import Score, common_score
from wwopt.sources.candidates import FAULTS, Candidate, expand, fingerprint, inspect, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.analysis import Analysis

__all__ = ["Ranking", "rank"]

SUMMARY = ("alpha", "alpha_weighted", "share_over_6", "share_trapped", "trap_energy", "log_norm", "log_alpha_norm",
           "log_spectral_norm", "stable_rank")  # fmt: skip
MORE_IS_BETTER = ("stable_rank", "parameters")
RANKED, BROKEN, UNREADABLE = "ranked", "broken", "unreadable"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ranking:
    """Networks, the best first.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per network, index ``name``: ``rank``; the number ranked by, ``value``, with its interval ``low`` to
        ``high`` and the ranks ``rank_low`` to ``rank_high`` that go with it; ``tied``, whether the interval of the
        difference to the best holds zero; ``score``, layer means, ``parameters``, ``layers``, the rank that each of
        these gives, ``rank_...``; ``status`` (``ranked``, ``broken``, ``unreadable``) and ``note``.
    metric : str
        What the networks are ranked by.
    reason : str
        Why that.
    warnings : tuple of str
        What to keep in mind, the faults included.
    faults : tuple of str
        What is wrong with the input: candidates that cannot be read, that are one network twice, or that have nothing
        in common with the others.
    """

    table: pd.DataFrame
    metric: str
    reason: str
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """Name of the first network."""
        return str(self.table.index[0])

    @property
    def ties(self) -> tuple[str, ...]:
        """Networks that cannot be told from the best."""
        tied = self.table["tied"] & (self.table["rank"] > 1)
        return tuple(str(name) for name in self.table.index[tied])


@dataclass(frozen=True)
class _Read:
    """A network that could be read."""

    name: str
    analysis: Analysis
    profile: Profile


def rank(
    candidates: Mapping[str, object] | Iterable[object],
    *,
    metric: str | Score = "auto",
    base: object | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **options: Any,
) -> Ranking:
    """Rank networks by their weights alone.

    Parameters
    ----------
    candidates : mapping of str to source, or iterable of paths
        Each is what `wwopt.analyze` reads, an `Analysis` or a saved one, WeightWatcher's ``details`` (table or CSV), a
        folder of checkpoints, a run (``runs:/ID``) or a registered model (``models:/NAME``) of MLflow. Networks are
        read one after the other; one that cannot be read is a row that says why.
    metric : str or Score
        "auto" chooses by what is compared: networks of the same shapes by their score, one family at several sizes by
        ``alpha_weighted``; of different architectures too, with a warning. Else a score, "score", or a column of
        ``Analysis.details``, of which the mean over the layers is taken.
    base : as a source, optional
        What all networks were fine-tuned from: the differences to it are compared.
    seed : int
        Of the bootstrap over layers.
    progress : bool, optional
        Show a progress bar. None: on a terminal.
    **options
        Further arguments of `wwopt.analyze`: ``min_evals``, ``cache``, ``executor`` and so on.

    Returns
    -------
    Ranking

    Raises
    ------
    TypeError
        `wwopt.analyze` has no such option.
    ValueError
        There are fewer than two candidates, none can be read, or the metric is unknown.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> rng = np.random.default_rng(0)
    >>> flat, broken = rng.normal(size=(80, 60)), np.ones((80, 60))
    >>> ranking = wwopt.rank({"broken": {"fc.weight": broken}, "flat": {"fc.weight": flat}})
    >>> ranking.best, ranking.metric
    ('flat', 'score')
    """
    check_options(options)
    expanded = expand(candidates)
    if len(expanded) < 2:
        raise ValueError(f"A ranking needs at least two candidates, got {len(expanded)}. `analyze` looks at one.")
    settings = {"base": base, **options}
    profiles, faults = _profiles(expanded, settings)
    _need_one(profiles, faults)
    choice = choose(metric, list(profiles.values()), based=base is not None)
    settings |= _required(metric, choice)
    networks = _read_all([one for one in expanded if one.name in profiles], profiles, settings, faults, progress)
    _need_one(networks, faults)
    score = metric if isinstance(metric, Score) else common_score(network.analysis for network in networks)
    judge = Judge(choice.metric, score)
    table = _table(networks, judge, faults, seed)
    wrong = (*_twins(networks), *_disjoint(networks), *(f"{name}: {reason}" for name, reason in faults.items()))
    return Ranking(table, choice.metric, choice.reason, (*_warnings(choice, networks, table), *wrong), wrong)


def _need_one(readable: Sequence[object] | Mapping[str, object], faults: Mapping[str, str]) -> None:
    if not readable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
        raise ValueError(f"None of the candidates can be ranked: {reasons}")


def _required(metric: str | Score, choice: Choice) -> dict[str, Any]:
    """Let what the score needs be analysed; by default that may be neighbouring layers."""
    if isinstance(metric, Score):
        return dict(metric.requires)
    return {"alignment": True} if choice.metric == SCORE else {}


def _profiles(candidates: Sequence[Candidate], options: Mapping[str, Any]) -> tuple[dict[str, Profile], dict[str, str]]:
    """Look at what the networks are built of, before any is read."""
    chosen = {name: options[name] for name in ("include", "exclude", "min_evals", "max_evals") if name in options}
    filtered = Settings(**chosen)
    profiles, faults = {}, {}
    for one in candidates:
        try:
            if one.fault:
                raise ValueError(one.fault)
            weights = inspect(one.source)
            if weights is None:
                profiles[one.name] = profile_of(read(one.source, {}))
                continue
            kept = profile_of([matrix for matrix in weights.matrices if filtered.reason_to_skip(matrix) is None])
            profiles[one.name] = replace(kept, parameters=profile_of(weights.matrices).parameters)
        except FAULTS as error:
            faults[one.name] = " ".join(str(error).split())
    return profiles, faults


def _read_all(
    candidates: Sequence[Candidate],
    profiles: Mapping[str, Profile],
    options: Mapping[str, Any],
    faults: dict[str, str],
    progress: bool | None,
) -> list[_Read]:
    networks = []
    with tqdm(total=len(candidates), desc="networks", unit="network", leave=False, delay=0 if progress else 1,
              disable=None if progress is None else not progress) as bar:  # fmt: skip
        for one in candidates:
            try:
                analysis = read(one.source, options)
                if options["base"] is not None and analysis.details.empty:
                    raise ValueError("it has no layer in common with the base that is large enough")
                networks.append(_Read(one.name, analysis, profiles[one.name]))
            except FAULTS as error:
                faults[one.name] = " ".join(str(error).split())
            bar.update()
    return networks


def _table(networks: Sequence[_Read], judge: Judge, faults: Mapping[str, str], seed: int) -> pd.DataFrame:
    paired = are_same([network.profile for network in networks])
    draws = [judge.draws(network.analysis, seed if paired else seed + i) for i, network in enumerate(networks)]
    rows = [_row(network, judge) for network in networks]
    table = pd.DataFrame(rows).set_index("name")
    table = table.join(_uncertainty(table, [judge.sign * draw for draw in draws], judge.sign))
    for column in ("score", *SUMMARY, "parameters"):
        table[f"rank_{column}"] = table[column].rank(method="min", ascending=column not in MORE_IS_BETTER)
    order = np.lexsort([judge.sign * table["value"], table["value"].isna(), table["status"] == BROKEN])
    table = table.iloc[order]
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    lost = pd.DataFrame(
        {"status": UNREADABLE, "note": list(faults.values()), "tied": False}, index=pd.Index(list(faults), name="name")
    )
    whole = pd.concat([table, lost.reindex(columns=table.columns)]) if len(lost) else table
    return whole.astype({"tied": bool})


def _row(network: _Read, judge: Judge) -> dict[str, Any]:
    analysis = network.analysis
    broken = analysis.details[analysis.details["status"] == "non-finite"]["name"].tolist()
    if not len(analysis.details):
        note = "no layer is large enough"
    else:
        note = f"not finite: {', '.join(broken[:3])}" if broken else ""
    summary = analysis.summary
    return {
        "name": network.name,
        "value": judge.value(analysis) if len(analysis.details) else math.nan,
        "score": judge.score(analysis),
        **{name: summary[name] for name in SUMMARY},
        "parameters": network.profile.parameters,
        "layers": len(analysis.details),
        "status": BROKEN if note else RANKED,
        "note": note,
    }


def _uncertainty(table: pd.DataFrame, draws: Sequence[NDArray[np.float64]], sign: int) -> pd.DataFrame:
    """Intervals of the value and of the rank, and whether a network ties with the best."""
    levels = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    sound = [i for i, status in enumerate(table["status"]) if status == RANKED and np.isfinite(draws[i]).all()]
    frame = pd.DataFrame(math.nan, index=table.index, columns=["low", "high", "rank_low", "rank_high"])
    frame["tied"] = False
    if not sound:
        return frame
    ranks = rank_draws([draws[i] for i in sound])
    best = min(sound, key=lambda i: sign * table["value"].iloc[i])
    for place, i in enumerate(sound):
        low, high = sorted(sign * np.quantile(draws[i], levels))
        frame.iloc[i, :4] = [low, high, *np.quantile(ranks[place], levels, method="inverted_cdf")]
        frame.iloc[i, 4] = bool(np.quantile(draws[i] - draws[best], levels[0]) <= 0)
    return frame


def _warnings(choice: Choice, networks: Sequence[_Read], table: pd.DataFrame) -> Iterator[str]:
    if choice.warning:
        yield choice.warning
    elif choice.metric == ALPHA_WEIGHTED and _against_size(table):
        yield (
            "The larger networks come last, which in well-trained families they do not: these may be trained too "
            "little for `alpha_weighted`; look at the score, and at data."
        )
    tables = [network.name for network in networks if not network.analysis.spectra and len(network.analysis.details)]
    if tables and len(tables) < len(networks):
        yield f"A table holds less than weights do, so the score knows less of {', '.join(tables)}."
    broken = table.index[table["status"] == BROKEN]
    if len(broken):
        yield f"Broken, and ranked behind all others: {', '.join(map(str, broken))}."
    tied = table.index[table["tied"] & (table["rank"] > 1)]
    if len(tied):
        yield f"{table.index[0]} ties with {', '.join(map(str, tied))}: the layers do not tell them apart."


def _against_size(table: pd.DataFrame) -> bool:
    """Whether the order is, by Kendall's count of pairs, more that of small networks than of large ones."""
    ranked = table[table["status"] == RANKED]
    value, size = (ranked[column].to_numpy(dtype=np.float64) for column in ("value", "parameters"))
    return bool(np.sign(np.subtract.outer(value, value) * np.subtract.outer(size, size)).sum() > 0)


def _twins(networks: Sequence[_Read]) -> Iterator[str]:
    """Name networks whose layers are identical."""
    alike: dict[str, list[str]] = {}
    for network in networks:
        if len(network.analysis.details):
            alike.setdefault(fingerprint(network.analysis), []).append(network.name)
    yield from (f"{', '.join(names)}: one network under several names" for names in alike.values() if len(names) > 1)


def _disjoint(networks: Sequence[_Read]) -> Iterator[str]:
    """Name networks that share neither a shape nor a family with any other."""
    for network in networks:
        others = [other.profile for other in networks if other is not network]
        related = any(
            set(network.profile.shapes) & set(other.shapes) or are_family([network.profile, other]) for other in others
        )
        if others and not related:
            yield f"{network.name}: no layer in common with any other candidate"
