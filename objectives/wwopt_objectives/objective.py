"""`AlphaObjective`: an Optuna objective that needs training data alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import optuna

from wwopt.pipeline import analyze
from wwopt.score import AlphaScore
from wwopt_objectives.artifacts import default_store, keep
from wwopt_objectives.constraints import apply_constraints, fail_constraints
from wwopt_objectives.pruner import STATE, observe
from wwopt_objectives.training import Checkpoint, checkpoints, interval

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.analysis import Analysis
    from wwopt.score import Explanation, Score
    from wwopt.tracking import Tracker

__all__ = ["AlphaObjective"]

logger = logging.getLogger("wwopt")

SCORE = "ww_score"


@dataclass(frozen=True)
class _Look:
    """A model that was analysed."""

    checkpoint: Checkpoint
    analysis: Analysis
    explanation: Explanation

    @property
    def score(self) -> float:
        return self.explanation["score"]


class AlphaObjective:
    """Score what `train` makes of a trial's hyper-parameters, by its weights.

    Parameters
    ----------
    train : callable
        ``train(trial)`` returns a model, or a pair ``(model, train_loss)``, or yields one after each epoch;
        then the objective reports to Optuna and prunes. A model is a `torch.nn.Module`, a state dict or a path.
    score : Score, optional
        What to minimise; None for `AlphaScore`.
    every : int or "auto"
        Steps between two looks at the weights. "auto": three to ten looks at a training, fewer for larger
        layers; where ``n_steps`` is not known, after 1, 2, 4, 8, ... steps. The last step is always looked at.
    n_steps : int, optional
        Number of models that `train` yields; `AlphaPruner` needs it to know how far a training has come.
    trackers : iterable of Tracker
        Each gets a child run for each trial.
    with_loss : bool
        Return the pair (score, training loss) for a study with two directions, both ``"minimize"``; then `select`
        chooses one trial at the end. Optuna takes no reports there, so only `AlphaPruner` prunes.
    artifact_store : optional
        Where the weights of the best trials are kept for `load_best`. None: the folder ``./wwopt-artifacts``;
        False: nowhere.
    analyze_options : mapping, optional
        Further arguments of `wwopt.analyze`, such as ``min_evals``.

    Notes
    -----
    On the trial it leaves the attributes ``ww_score`` (the score and its terms), ``ww_summary``, ``ww_step``
    (the last step looked at), ``ww_n_steps`` and, where pruned, ``ww_pruned_by``; and the constraints of
    `apply_constraints`, also when the training fails. On the study it leaves the score's definition under
    ``ww_score``; a study that was begun with another score is refused.

    Examples
    --------
    >>> import optuna, torch
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90))
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=False), n_trials=2)
    >>> 0 < study.best_value < AlphaScore().maximum
    True
    """

    def __init__(
        self,
        train: Callable[[optuna.Trial], object],
        *,
        score: Score | None = None,
        every: int | Literal["auto"] = "auto",
        n_steps: int | None = None,
        trackers: Iterable[Tracker] = (),
        artifact_store: ArtifactStore | Literal[False] | None = None,
        with_loss: bool = False,
        analyze_options: dict[str, Any] | None = None,
    ) -> None:
        if not callable(train):
            raise TypeError(f"`train` must be a function of a trial, got {type(train).__name__}.")
        if every != "auto" and (not isinstance(every, int) or every < 1):
            raise ValueError(f'`every` must be "auto" or at least 1, got {every!r}.')
        if n_steps is not None and n_steps < 1:
            raise ValueError(f"`n_steps` must be at least 1, got {n_steps}.")
        self._train = train
        self._score: Score = AlphaScore() if score is None else score
        self._every = every
        self._n_steps = n_steps
        self._trackers = tuple(trackers)
        self._store = artifact_store
        self._with_loss = with_loss
        self._options = {**self._score.requires, **(analyze_options or {})}

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, float]:
        """Run a trial: train, look, report, prune, and leave a record of it."""
        self._claim(trial.study)
        runs = _Runs(self._trackers, trial)
        try:
            look = self._watch(trial, runs)
            if self._with_loss:
                _loss(look.checkpoint)
        except optuna.TrialPruned as pruned:
            runs.finish("pruned", str(pruned))
            raise
        except BaseException as error:
            fail_constraints(trial)
            runs.finish("failed", f"{type(error).__name__}: {error}")
            raise
        self._record(trial, look)
        self._keep(trial, look)
        runs.finish("complete", "")
        return (look.score, _loss(look.checkpoint)) if self._with_loss else look.score

    def _claim(self, study: optuna.Study) -> None:
        """Hold the study to one definition of the score: numbers of two definitions cannot be compared."""
        wanted = ["minimize"] * (2 if self._with_loss else 1)
        directions = [direction.name.lower() for direction in study.directions]
        if directions != wanted:
            how = f"directions={wanted}" if self._with_loss else 'direction="minimize"'
            raise ValueError(f"Lower is better: create the study with `{how}`, got {directions}.")
        settings, known = self._score.settings(), study.user_attrs.get(SCORE)
        if known is None:
            study.set_user_attr(SCORE, settings)
        elif known != settings:
            raise ValueError(
                f"The study {study.study_name!r} was begun with the score {known}, and this objective has {settings}; "
                "their numbers cannot be compared. Use the same score, or a study of another name."
            )

    def _watch(self, trial: optuna.Trial, runs: _Runs) -> _Look:
        """Follow a training to its end; the last look is its result."""
        _forget(trial)
        look: _Look | None = None
        every: int | None = None
        last: Checkpoint | None = None
        for checkpoint in checkpoints(self._train(trial)):
            if last is None:
                every = interval(checkpoint.model, self._n_steps) if self._every == "auto" else self._every
            last = checkpoint
            if _due(checkpoint.step, every):
                look = self._look(trial, checkpoint, runs)
                self._report(trial, look)
        assert last is not None  # noqa: S101  (`checkpoints` raises where there is none)
        if look is None or look.checkpoint.step != last.step:
            look = self._look(trial, last, runs)
        return look

    def _look(self, trial: optuna.Trial, checkpoint: Checkpoint, runs: _Runs) -> _Look:
        analysis = analyze(checkpoint.model, progress=False, **self._options)
        explanation = self._score.explain(analysis)
        seen = trial.user_attrs.get(STATE)
        trial.set_user_attr(STATE, observe(seen, analysis, checkpoint.step, self._n_steps))
        losses = {} if checkpoint.loss is None else {"train_loss": checkpoint.loss}
        runs.log(analysis, checkpoint.step, {"ww/score": explanation["score"], **losses})
        return _Look(checkpoint, analysis, explanation)

    def _report(self, trial: optuna.Trial, look: _Look) -> None:
        """Report a score and stop the trial where the pruner says so."""
        if not self._with_loss:
            trial.report(look.score, look.checkpoint.step)
        reason = _alpha_reason(trial) if self._with_loss else _reason(trial) if trial.should_prune() else None
        if reason is None:
            return
        self._record(trial, look)
        trial.set_user_attr("ww_pruned_by", reason)
        raise optuna.TrialPruned(reason)

    def _record(self, trial: optuna.Trial, look: _Look) -> None:
        """Leave the last look on the trial, once: every attribute is a commit, and commits cost more than looks."""
        trial.set_user_attr(SCORE, {name: look.explanation[name] for name in ("score", "terms")})
        trial.set_user_attr("ww_summary", _native(look.analysis.summary))
        trial.set_user_attr("ww_step", look.checkpoint.step)
        if look.checkpoint.loss is not None:
            trial.set_user_attr("train_loss", look.checkpoint.loss)
        apply_constraints(trial, look.analysis)

    def _keep(self, trial: optuna.Trial, look: _Look) -> None:
        """Keep the weights of a trial that may be the winner."""
        if self._store is False or not _may_win(trial, look.score):
            return
        store = self._store if self._store is not None else default_store(trial.study)
        try:
            keep(trial, look.checkpoint.model, look.analysis, store)
        except Exception:  # a full disk must not cost a finished trial
            logger.warning("The weights of trial %d could not be kept.", trial.number, exc_info=True)


class _Runs:
    """A trial's runs, one for each tracker; opened at the first look, when the parameters are known."""

    def __init__(self, trackers: tuple[Tracker, ...], trial: optuna.Trial) -> None:
        self._trackers = trackers
        self._trial = trial
        self._open: list[Tracker] = []

    def log(self, analysis: Analysis, step: int, metrics: dict[str, float]) -> None:
        for run in self._opened():
            run.log(analysis, step=step, metrics=metrics)

    def finish(self, state: Literal["complete", "pruned", "failed"], reason: str) -> None:
        for run in self._opened():
            run.finish(state, reason=reason)

    def _opened(self) -> list[Tracker]:
        if not self._open:
            trial = self._trial
            tags = {"study": trial.study.study_name, "trial": str(trial.number)}
            self._open = [
                tracker.child(f"trial-{trial.number}", params=trial.params, tags=tags) for tracker in self._trackers
            ]
        return self._open


def _forget(trial: optuna.Trial) -> None:
    """Drop what a retried trial inherits from the one that died."""
    for key in (STATE, "ww_pruned_by"):
        if trial.user_attrs.get(key) is not None:
            trial.set_user_attr(key, None)


def _due(step: int, every: int | None) -> bool:
    done = step + 1
    return done % every == 0 if every is not None else done & (done - 1) == 0


def _reason(trial: optuna.Trial) -> str:
    """Why the study's pruner stops a trial that it said to stop."""
    return _alpha_reason(trial) or type(trial.study.pruner).__name__


def _alpha_reason(trial: optuna.Trial) -> str | None:
    """What `AlphaPruner` says of a trial; also with two directions, where Optuna asks no pruner."""
    explain = getattr(trial.study.pruner, "reason", None)
    frozen = trial.study._storage.get_trial(trial._trial_id)  # noqa: SLF001  (what `should_prune` itself passes on)
    return None if explain is None else explain(trial.study, frozen)


def _loss(checkpoint: Checkpoint) -> float:
    if checkpoint.loss is None:
        raise TypeError("`with_loss=True` needs the training loss: `train` must give pairs (model, train_loss).")
    return checkpoint.loss


def _may_win(trial: optuna.Trial, score: float) -> bool:
    """Whether no finished and feasible trial of the study is better; with two directions each may be chosen."""
    if len(trial.study.directions) > 1:
        return True
    finished = trial.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    feasible = [other.value for other in finished if all(value <= 0 for value in other.constraints.values())]
    mine = all(value <= 0 for value in trial.constraints.values())
    return mine and score <= min((value for value in feasible if value is not None), default=math.inf)


def _native(summary: dict[str, float]) -> dict[str, float | None]:
    """Numbers as JSON knows them: no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in summary.items()}
