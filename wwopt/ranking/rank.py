"""`rank`: which of several networks is probably the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from wwopt.engine.check_options import check_options
from wwopt.engine.layer_limit import choose_min_evals
from wwopt.engine.load_or_analyze import load_or_analyze
from wwopt.engine.settings import Settings
from wwopt.ranking.architecture import Architecture, architecture_of
from wwopt.ranking.by_adapters import (
    INTRUDERS,
    NO_BASE,
    adapter_remarks,
    analyze_adapters,
    rows_of_adapters,
    why_by_intruders,
)
from wwopt.ranking.by_answers import judge_candidates, metric_of, ordered_by, readable_names, verdict_remarks
from wwopt.ranking.by_language import CONTEXT, ordered_by_text, text_remarks, texts_of
from wwopt.ranking.by_noise import METRIC, ordered_by_noise
from wwopt.ranking.choose_metric import SCORE, Judge, check_metric, choose
from wwopt.ranking.evidence import Evidence, Losses, gather
from wwopt.ranking.remarks import cautions, duplicates, strangers
from wwopt.ranking.rows import Network, ranking_table
from wwopt.score import AlphaScore, Score, common_score
from wwopt.sources import READ_ERRORS, Candidate, Kind, Source, expand, resolve, weights_of
from wwopt.text import one_line

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from wwopt.consensus import Rung, Verdict
    from wwopt.consensus.answers import AnswerKind

__all__ = ["Ranking", "rank"]

OWN_TEXT = "language models: what context tells each about the next token, in nats, of a text that it writes itself"


@dataclass(frozen=True)
class Ranking:
    """Networks, the best first.

    ``rung`` tells what the ranking rests on: weights only, which needs no data; weights and unlabelled inputs; or
    weights, inputs and the training loss.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per network, index ``name``: ``rank``; the number ranked by, ``value``, with its interval ``low`` to
        ``high`` and the ranks ``rank_low`` to ``rank_high`` that go with it; ``tied``, whether the interval of the
        difference to the best holds zero; ``score``, layer means, ``parameters``, ``layers``, the rank that each of
        these gives, ``rank_...``; ``status`` (``ranked``, ``broken``, ``not asked``, ``not measured``, ``unreadable``)
        and ``note``. By answers or losses also: ``agreement`` with the vote of the others, ``competence``, the weight
        of the own ``vote``, and ``loss``; ``value`` is higher for a better network then, and has no interval.
    metric : str
        What the networks are ranked by: a metric of the weights, ``agreement`` or ``loss``; of language models
        ``context`` or ``surprise``.
    reason : str
        Why the networks are ranked by it, or why the first one is chosen.
    warnings : tuple of str
        What to keep in mind, the faults included.
    faults : tuple of str
        What is wrong with the input: candidates that cannot be read, that are the same network, or that have no layer
        in common with the others.
    rung : {"weights", "weights and loss", "inputs", "inputs and loss"}
        What the ranking rests on, the weights always among it.
    verdict : wwopt.consensus.Verdict or None
        What the networks say of each other, in the order of the candidates that could be read; None from weights only.
    """

    table: pd.DataFrame
    metric: str
    reason: str
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    rung: Rung = "weights"
    verdict: Verdict | None = None

    @property
    def best(self) -> str:
        """Name of the best network."""
        return str(self.table.index[0])

    @property
    def ties(self) -> tuple[str, ...]:
        """Names of the networks whose interval does not tell them from the best."""
        tied = self.table["tied"] & (self.table["rank"] > 1)
        return tuple(str(name) for name in self.table.index[tied])


@dataclass(frozen=True)
class _Examined:
    """A candidate whose layers are described, but not analysed yet."""

    name: str
    source: Source
    architecture: Architecture
    adapter: bool = False


def rank(
    candidates: Mapping[str, object] | Iterable[object],
    *,
    metric: str | Score = "auto",
    inputs: object = None,
    losses: Losses | None = None,
    answers: Mapping[str, ArrayLike] | None = None,
    kind: AnswerKind = "auto",
    with_labels: bool = False,
    base: object | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **options: Any,
) -> Ranking:
    """Rank networks by their weights alone, or by what they answer to the same inputs.

    With ``inputs`` the networks are asked, and judge each other: what the sound ones answer alike is mostly right. A
    network that the diagnosis finds broken has no vote, and comes behind all others whatever it answers. ``losses``
    tell how much each vote counts. Where the answers cannot tell which network is best, ``reason`` says so, and by what
    they were ranked instead. Losses without inputs rank the networks that the diagnosis passes by their losses.

    Parameters
    ----------
    candidates : mapping of str to source, or iterable of paths
        Each is what `wwopt.analyze` reads, an `Analysis` or a saved one, WeightWatcher's ``details`` (table or CSV), a
        folder of checkpoints, a run (``runs:/ID``) or a registered model (``models:/NAME``) of MLflow. Networks are
        read one after the other; one that cannot be read is a row that says why.
    metric : str or Score
        "auto" takes the score, and of five modules or more also what they answer to noise; where the architectures
        differ, with a warning. Only files and tables of one family, each of another depth, all sound and each smaller
        in ``alpha_weighted`` than a shallower one, are ranked by that. Else a score, "score", or a column of
        ``Analysis.details``, of which the mean over the layers is taken. With ``inputs`` it tells how much the votes
        count where no losses do. Adapters alone are ranked by the directions that are new to their ``base``.
    inputs : tensor, array, list, mapping, dataset or iterable of batches, optional
        Unlabelled inputs for modules of one answer space; the training inputs will do. 512 are taken, more where there
        are many classes. A mapping is given to the modules as keyword arguments. Labels in pairs of inputs and labels
        are left out.
    losses : mapping of str to float, or sequence of float, optional
        Training losses, by the names or in the order of the candidates.
    answers : mapping of str to array, optional
        Instead of ``inputs``: what the candidates answer to the same inputs, as class numbers, shape (inputs,), or
        outputs, shape (inputs, outputs).
    kind : {"auto", "classes", "values"}
        What the outputs are. "auto": one is a value; several are classes, unless labels that came with the inputs tell
        otherwise by their type, the outputs are as many as the pixels of an input, or they move together.
    with_labels : bool
        Count how often the vote contradicts the labels that come with the inputs, perhaps wrong ones, for
        ``verdict.contradiction``. The order stays the same.
    base : as a source, optional
        What all networks were fine-tuned from: the differences to it are compared.
    seed : int
        Of the bootstrap over layers.
    progress : bool, optional
        Show a progress bar. None: on a terminal.
    **options
        Further arguments of `wwopt.analyze`: ``min_evals``, ``cache``, ``executor`` and so on. Without ``min_evals``
        the limit suits the smallest candidate, and is the same for all. ``response=False`` keeps modules from being
        run.

    Returns
    -------
    Ranking

    Raises
    ------
    TypeError
        `wwopt.analyze` has no such option.
    ValueError
        There are fewer than two candidates, none can be read, measured or asked, the metric is unknown, `base` cannot
        be read, the inputs tell nothing (fewer than two, all equal, not finite), or the candidates answer in several
        shapes.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> rng = np.random.default_rng(0)
    >>> flat, broken = rng.normal(size=(80, 60)), np.ones((80, 60))
    >>> ranking = wwopt.rank({"broken": {"fc.weight": broken}, "flat": {"fc.weight": flat}})
    >>> ranking.best, ranking.metric
    ('flat', 'score')

    Networks that are asked the same inputs judge each other; nobody has to know the answers.

    >>> import torch
    >>> inputs = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    >>> networks = {f"seed {seed}": torch.nn.Linear(64, 60) for seed in range(3)}
    >>> wwopt.rank(networks, inputs=inputs).rung
    'inputs'
    """
    check_options(options)
    check_metric(metric)
    listed = expand(candidates)
    if "min_evals" not in options and base is None:
        options = {**options, "min_evals": _common_limit(listed, options)}
    named = [field.name for field in fields(Settings)]
    filtered = Settings(**{name: value for name, value in options.items() if name in named})
    if base is not None:
        weights_of(base)  # one that cannot be read is one error, not a fault of each candidate
    examined, faults = _examine(listed, filtered)
    if len(listed) < 2 and not faults:
        raise ValueError(f"`candidates` must be at least two networks, got {len(listed)}. For one, use `analyze`.")
    _need_one(examined, faults)
    readable = [candidate for candidate in listed if candidate.name not in faults]
    evidence = gather(readable, inputs, answers, losses, kind=kind, with_labels=with_labels, seed=seed,
                      progress=progress)  # fmt: skip
    if evidence is None and metric == "auto" and _as_adapters(examined, based=base is not None):
        return _rank_adapters(examined, base, faults, seed)
    texts = (
        {}
        if evidence is not None or metric != "auto" or base is not None
        else texts_of(readable, seed=seed, progress=progress)
    )
    analysed = _analyze_all(examined, {"base": base, **options, **_required(metric)}, faults, progress)
    unmeasured = {one.name: reason for one in analysed if (reason := one.analysis.unmeasured)}
    networks = [one for one in analysed if one.name not in unmeasured]
    enough = networks if evidence is None and not texts else analysed
    _need_one(enough, {name: f"not measured: {reason}" for name, reason in unmeasured.items()} | faults)
    choice = choose(metric, networks or analysed, based=base is not None)
    score = metric if isinstance(metric, Score) else common_score(one.analysis for one in networks or analysed)
    judge = Judge(choice.metric, score, strict=metric == "auto" and choice.metric == SCORE and base is None)
    table = ranking_table(networks, judge, unmeasured, faults, seed)
    unreadable = [f"{name}: {reason}" for name, reason in faults.items()]
    if evidence is not None:
        return _by_evidence(table, evidence, judge, (*duplicates(networks), *unreadable))
    wrong = (*duplicates(networks), *strangers(analysed), *unreadable)
    if texts:
        ordered = ordered_by_text(table, texts)
        return Ranking(ordered, CONTEXT, OWN_TEXT, (*text_remarks(ordered), *wrong), wrong)
    by_noise = _by_noise(table, networks, examined, options.get("response"), seed) if judge.strict else None
    if by_noise is not None:
        reason = (
            f"{choice.reason}; half of a rank is by scores of the weights, half by how far their answers to noise agree"
        )
        return Ranking(by_noise, METRIC, reason, (*cautions(choice, networks, by_noise), *wrong), wrong)
    return Ranking(table, choice.metric, choice.reason, (*cautions(choice, networks, table), *wrong), wrong)


def _as_adapters(examined: Sequence[_Examined], *, based: bool) -> bool:
    """Whether all candidates are low-rank adapters that only a table of their own fits."""
    return all(one.adapter and (based or not one.architecture.shapes) for one in examined)


def _rank_adapters(examined: Sequence[_Examined], base: object | None, faults: Mapping[str, str], seed: int) -> Ranking:
    """Rank low-rank adapters by what they change."""
    found = analyze_adapters({one.name: one.source for one in examined}, base)
    others = ranking_table([], Judge(SCORE, AlphaScore()), {}, faults, seed)
    table = rows_of_adapters(found, {one.name: one.architecture.parameters for one in examined}, others)
    based = any(INTRUDERS in analysis.table for analysis in found.values())
    wrong = tuple(f"{name}: {reason}" for name, reason in faults.items())
    remarks = (*adapter_remarks(table, found, based=based), *wrong)
    return Ranking(table, INTRUDERS if based else NO_BASE, why_by_intruders(based=based), remarks, wrong)


def _by_evidence(table: pd.DataFrame, evidence: Evidence, judge: Judge, wrong: tuple[str, ...]) -> Ranking:
    """Rank by answers and losses; the weights gate, and weigh the votes."""
    verdict = judge_candidates(table, evidence, judge.sign)
    ordered = ordered_by(verdict, table, evidence)
    remarks = (*verdict_remarks(verdict, ordered, evidence, readable_names(table)), *wrong)
    return Ranking(
        ordered, metric_of(verdict, table, evidence, judge.sign), verdict.reason, remarks, wrong, verdict.rung, verdict
    )


def _by_noise(
    table: pd.DataFrame, networks: Sequence[Network], examined: Sequence[_Examined], response: object, seed: int
) -> pd.DataFrame | None:
    """Rank modules by their answers to noise too, unless ``response=False`` forbids to run them."""
    if response is False:
        return None
    modules = {one.name: one.source.value for one in examined if one.source.kind is Kind.MODULE}
    return ordered_by_noise(table, networks, modules, response if isinstance(response, Sequence) else None, seed)


def _common_limit(candidates: Sequence[Candidate], options: Mapping[str, Any]) -> int:
    """Smallest layers that count: those of the candidate with the smallest, so that each is measured by as much."""
    sources = [candidate.source for candidate in candidates if candidate.source is not None]
    limits = [Settings.min_evals]
    for source in sources if not any(source.analysed for source in sources) else ():
        with suppress(*READ_ERRORS):  # said of the candidate when it is examined
            limits.append(choose_min_evals(source, options))
    return min(limits)


def _examine(candidates: Sequence[Candidate], settings: Settings) -> tuple[list[_Examined], dict[str, str]]:
    """Describe the networks' layers before any weights are read; name what cannot be read, with the reason."""
    examined: list[_Examined] = []
    faults: dict[str, str] = {}
    for candidate in candidates:
        if candidate.source is None:
            faults[candidate.name] = one_line(candidate.fault)
            continue
        try:
            examined.append(_Examined(candidate.name, *_describe(candidate.source, settings)))
        except READ_ERRORS as error:
            faults[candidate.name] = one_line(error)
    return examined, faults


def _describe(source: Source, settings: Settings) -> tuple[Source, Architecture, bool]:
    """Give the architecture of a network, and whether it is an adapter.

    What has been analysed is read for that, and then stands for its source.
    """
    if source.analysed:
        analysis = load_or_analyze(source, {})
        return resolve(analysis), architecture_of(analysis), False
    matrices = weights_of(source).matrices
    kept = architecture_of([matrix for matrix in matrices if settings.reason_to_skip(matrix) is None])
    adapter = bool(matrices) and all(matrix.rank is not None for matrix in matrices)
    parameters = sum(matrix.parameters for matrix in matrices) if adapter else architecture_of(matrices).parameters
    return source, replace(kept, parameters=parameters), adapter


def _need_one(readable: Sequence[object], faults: Mapping[str, str]) -> None:
    if not readable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
        raise ValueError(f"None of the candidates can be ranked: {reasons}")


def _required(metric: str | Score) -> dict[str, Any]:
    """Options that make `analyze` measure what the score needs: by default neighbouring layers too."""
    if isinstance(metric, Score):
        return dict(metric.requires)
    return {"alignment": True, "response": False} if metric in ("auto", SCORE) else {}


def _analyze_all(
    examined: Sequence[_Examined], options: Mapping[str, Any], faults: dict[str, str], progress: bool | None
) -> list[Network]:
    """Analyse one network after the other; one that cannot be read is added to the faults."""
    networks = []
    with tqdm(examined, desc="networks", unit="network", leave=False, delay=0 if progress else 1,
              disable=None if progress is None else not progress) as bar:  # fmt: skip
        for one in bar:
            try:
                analysis = load_or_analyze(one.source, options)
                if options["base"] is not None and analysis.details.empty:
                    raise ValueError("it has no layer in common with the base that is large enough")
                networks.append(Network(one.name, analysis, one.architecture, one.source.kind is Kind.MODULE))
            except READ_ERRORS as error:
                faults[one.name] = one_line(error)
    return networks
