"""`select`: rank past runs by the spectra that they logged, without their weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from wwopt_trackers.journal.choice_tags import BEST, CHOSEN, REASON, STUDY_NAME, is_newer
from wwopt_trackers.selection.read_runs import logged_runs

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.analysis import Analysis
    from wwopt.powerlaw import EstimatorName
    from wwopt.score import Score
    from wwopt_trackers.backends.logged_run import LoggedRun

__all__ = ["STATES", "Selection", "StudyChoice", "select"]

STATES = ("complete", "pruned", "failed", "running")
COLUMNS = ("name", "study", "state", "step", "score", "alpha")


@dataclass(frozen=True)
class StudyChoice:
    """The trial that a study chose, as it told its tracker last; its best value may be another's.

    Attributes
    ----------
    study : str
        Name of the study.
    chosen, best : str
        Names of the runs; ``best`` is empty where the study has several objectives.
    reason : str
        Why it is chosen.
    """

    study: str
    chosen: str
    best: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """A ranking of past runs, the best first.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each run that was ranked, the best first; index ``id``. Columns ``name``, ``study``, ``state``,
        ``step`` (of the spectra), ``score``, ``alpha`` (the mean over the layers) and the score's terms.
    best : LoggedRun
        The first; ``best.read()`` gives its analysis.
    left_out : pandas.DataFrame
        Columns ``name``, ``id`` and ``reason``: the runs that were not ranked.
    metric : str
        Name and version of the score.
    warnings : tuple of str
        Why the ranking should be read with care.
    usable : bool
        Whether the best network is any good: nothing in it is broken, and its score is below the score's maximum.
    choices : tuple of StudyChoice
        What the studies of these runs chose by the answers, losses and scores of their trials, where they said so.
    """

    table: pd.DataFrame
    best: LoggedRun
    left_out: pd.DataFrame
    metric: str
    warnings: tuple[str, ...]
    usable: bool
    choices: tuple[StudyChoice, ...] = ()

    @property
    def terms(self) -> list[str]:
        """Columns of the table that add up to the score."""
        return [column for column in self.table.columns if column not in COLUMNS]


@dataclass(frozen=True)
class _Candidate:
    run: LoggedRun
    layers: frozenset[tuple[str, int, int]]
    settings: str
    alpha: float
    ranked: dict[str, dict[str, Any]]  # by each score that may be the one: the number and its terms
    usable: bool


def select(
    *,
    journal: str | os.PathLike[str] | None = None,
    mlflow: str | None = None,
    wandb: str | os.PathLike[str] | None = None,
    uri: str | None = None,
    study: str | None = None,
    states: Sequence[str] = ("complete",),
    score: Score | None = None,
    refit: bool = False,
    estimator: EstimatorName | None = None,
) -> Selection:
    """Rank past runs by the spectra that they logged.

    Parameters
    ----------
    journal : path, optional
        A folder of journals, or one journal.
    mlflow : str, optional
        Name of an MLflow experiment.
    wandb : path or str, optional
        A folder with offline runs of W&B, or ``entity/project`` at its server.
    uri : str, optional
        MLflow's tracking URI; None: MLflow's own.
    study : str, optional
        Only the runs of this study.
    states : sequence of {"complete", "pruned", "failed", "running"}
        Runs that may win, by how they ended.
    score : Score, optional
        What ranks them. None: the score that is recommended for all of them, else `AlphaScore`.
    refit : bool
        Fit alpha again from the spectra, with this version's estimator, instead of taking the numbers logged.
    estimator : {"mle", "hill", "peak", "tpl"}, optional
        Fit alpha again by this one, whichever it was logged with.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        Not one place was given, or no run there can be ranked.
    FileNotFoundError
        There is nothing at the path.

    Examples
    --------
    >>> select(mlflow="digits").best.name  # doctest: +SKIP
    'trial-17'
    """
    from wwopt.engine.refit import refit as fit_again  # noqa: PLC0415  (loads the engine)

    if unknown := set(states) - set(STATES):
        raise ValueError(f"`states` must be among {', '.join(STATES)}, got {', '.join(map(repr, sorted(unknown)))}.")
    place = journal or mlflow or wandb
    choices: dict[str, Mapping[str, str]] = {}
    candidates, left_out = _examine(
        _networks(logged_runs(journal=journal, mlflow=mlflow, wandb=wandb, uri=uri), choices),
        refuse=lambda run: _refusal(run, study, states),
        scores=_recommended if score is None else lambda _: [score],
        refit=partial(fit_again, estimator=estimator) if refit or estimator else None,
    )
    if not candidates:
        reasons = sorted({reason for *_, reason in left_out})
        raise ValueError(f"No run of {place} can be ranked: {'; '.join(reasons[:3]) or 'there is none'}.")
    told = [StudyChoice(name, tags[CHOSEN], tags.get(BEST, ""), tags[REASON]) for name, tags in choices.items()]
    return _rank(candidates, left_out, tuple(one for one in told if study in (None, one.study)))


def _networks(runs: Iterable[LoggedRun], choices: dict[str, Mapping[str, str]]) -> Iterator[LoggedRun]:
    """Pass runs of networks on, and keep the last choice of each study that the others tell."""
    for run in runs:
        name = run.choice.get(STUDY_NAME, "")
        if run.choice and is_newer(run.choice, choices.get(name, {})):
            choices[name] = run.choice
        if not run.choice or run.step is not None:
            yield run


def _refusal(run: LoggedRun, study: str | None, states: Sequence[str]) -> str | None:
    """Why a run cannot win."""
    if study is not None and run.study != study:
        return f"it is not of the study {study!r}"
    if run.state not in states:
        return f"it is {run.state}"
    return "it logged no spectra" if run.step is None else None


def _recommended(analysis: Analysis) -> list[Score]:
    from wwopt.score import AlphaScore, default_score  # noqa: PLC0415  (loads pandas)

    return [default_score(analysis), AlphaScore()]


def _examine(
    runs: Iterable[LoggedRun],
    *,
    refuse: Callable[[LoggedRun], str | None],
    scores: Callable[[Analysis], list[Score]],
    refit: Callable[[Analysis], Analysis] | None,
) -> tuple[list[_Candidate], list[tuple[str, str, str]]]:
    """Score each run, one analysis in memory at a time."""
    candidates, left_out = [], []
    for run in runs:
        try:
            if reason := refuse(run):
                left_out.append((run.name, run.id, reason))
                continue
            analysis = refit(run.read()) if refit else run.read()
            candidates.append(_candidate(run, analysis, scores(analysis)))
        except (ValueError, OSError) as error:
            left_out.append((run.name, run.id, str(error)))
    return candidates, left_out


def _candidate(run: LoggedRun, analysis: Analysis, scores: Iterable[Score]) -> _Candidate:
    rows = analysis.details
    layers = zip(rows["name"].tolist(), rows["N"].tolist(), rows["M"].tolist(), strict=True)
    ranked, usable = {}, not analysis.broken
    for score in scores:
        explanation, settings = score.explain(analysis), score.settings()
        ranked[f"{settings['name']} {settings['version']}"] = {"score": explanation["score"], **explanation["terms"]}
        usable &= explanation["score"] < score.maximum
    return _Candidate(run, frozenset(layers), repr(dict(analysis.settings)), analysis.summary["alpha"], ranked, usable)


def _rank(
    candidates: list[_Candidate], left_out: list[tuple[str, str, str]], choices: tuple[StudyChoice, ...]
) -> Selection:
    """Order the runs by their score, those with a broken network behind all others."""
    import pandas as pd  # noqa: PLC0415  (heavy)

    common = [metric for metric in candidates[0].ranked if all(metric in each.ranked for each in candidates)]
    ordered = sorted(candidates, key=lambda each: (not each.usable, each.ranked[common[0]]["score"], each.run.name))
    rows = [
        {column: getattr(each.run, column) for column in COLUMNS[:4]}
        | each.ranked[common[0]]
        | {"alpha": each.alpha, "id": each.run.id}
        for each in ordered
    ]
    table = pd.DataFrame(rows).set_index("id")
    terms = [column for column in table.columns if column not in COLUMNS]
    return Selection(
        table=table[[*COLUMNS, *terms]],
        best=ordered[0].run,
        left_out=pd.DataFrame(left_out, columns=["name", "id", "reason"]),
        metric=common[0],
        warnings=_warnings(candidates),
        usable=ordered[0].usable,
        choices=choices,
    )


def _warnings(candidates: list[_Candidate]) -> tuple[str, ...]:
    found = []
    if len({each.layers for each in candidates}) > 1:
        found.append("The networks differ in their layers: across architectures no number from weights is reliable.")
    if len({each.settings for each in candidates}) > 1:
        found.append("The analyses were made with different settings: their numbers are not quite comparable.")
    return tuple(found)
