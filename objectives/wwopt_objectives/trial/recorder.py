"""A trial followed look by look: analysed, reported, judged by the pruner, and recorded once at its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wwopt.engine.analyze import analyze
from wwopt_objectives.trial.constraints import apply_constraints, fail_constraints
from wwopt_objectives.trial.prune_reason import ask
from wwopt_objectives.trial.state import STATE, observe
from wwopt_objectives.trial.tracker_runs import Runs

if TYPE_CHECKING:
    import optuna

    from wwopt.analysis import Analysis
    from wwopt.score import Explanation, Score
    from wwopt.tracking import Tracker
    from wwopt_objectives.training.checkpoints import Checkpoint

__all__ = ["ARTIFACTS", "PRUNED_BY", "SCORE", "Follower", "Look"]

logger = logging.getLogger("wwopt")

SCORE, SUMMARY, STEP, LOSS = "ww_score", "ww_summary", "ww_step", "train_loss"
PRUNED_BY, ARTIFACTS = "ww_pruned_by", "ww_artifacts"
INHERITED = (STATE, SCORE, SUMMARY, STEP, LOSS, PRUNED_BY, ARTIFACTS)


@dataclass(frozen=True)
class Look:
    """A model that was analysed."""

    checkpoint: Checkpoint
    analysis: Analysis
    explanation: Explanation

    @property
    def score(self) -> float:
        """The score, finite."""
        return self.explanation["score"]


class Follower:
    """Follow a trial.

    Parameters
    ----------
    trial : optuna.Trial
        Running. What it inherits from a trial that died is dropped.
    score : Score
        What is reported.
    n_steps : int, optional
        Steps that the training will take.
    trackers : iterable of Tracker
        Each gets a child run.
    options : mapping, optional
        Arguments of `wwopt.analyze`.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        *,
        score: Score,
        n_steps: int | None = None,
        trackers: Iterable[Tracker] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._trial = trial
        self._score = score
        self._n_steps = n_steps
        self._options = {**score.requires, **(options or {})}
        self._runs = Runs(trackers, trial)
        self._state: dict[str, Any] | None = None
        self.last: Look | None = None
        forget(trial)

    def look(self, checkpoint: Checkpoint) -> Look:
        """Analyse a model."""
        analysis = analyze(checkpoint.model, progress=False, **self._options)
        look = self.last = Look(checkpoint, analysis, self._explain(analysis))
        self._state = observe(self._state, analysis, look.score, checkpoint.step, self._n_steps)
        losses = {} if checkpoint.loss is None else {LOSS: checkpoint.loss}
        self._runs.log(analysis, checkpoint.step, {"ww/score": look.score, **losses})
        return look

    def ask(self) -> str | None:
        """Report the last look to Optuna, and say why the pruner would stop the trial; None where it goes on."""
        trial, look = self._trial, self.last
        if look is None:
            return None
        if len(trial.study.directions) == 1:  # with more Optuna takes no reports
            trial.report(look.score, look.checkpoint.step)
        # What `should_prune` passes on, with what `AlphaPruner` looks at: no read and a commit less for each look.
        frozen = trial._get_latest_trial()  # noqa: SLF001
        frozen.user_attrs = {**frozen.user_attrs, STATE: self._state}
        return ask(trial.study.pruner, trial.study, frozen)

    def record(self, look: Look) -> None:
        """Leave a look on the trial; once, at its end: an attribute is a commit, and commits cost more than looks."""
        trial = self._trial
        terms = {name: native(value) for name, value in look.explanation["terms"].items()}
        trial.set_user_attr(SCORE, {"score": look.score, "terms": terms})
        trial.set_user_attr(SUMMARY, {name: native(value) for name, value in look.analysis.summary.items()})
        trial.set_user_attr(STEP, look.checkpoint.step)
        trial.set_user_attr(STATE, self._state)
        if look.checkpoint.loss is not None:
            trial.set_user_attr(LOSS, native(look.checkpoint.loss))
        apply_constraints(trial, look.analysis)

    def pruned(self, reason: str) -> None:
        """Record a trial that was pruned, by the pruner or by the training itself."""
        if self.last is None:
            fail_constraints(self._trial)
        else:
            self.record(self.last)
        self._trial.set_user_attr(PRUNED_BY, reason)
        self._runs.finish("pruned", reason)

    def failed(self, error: BaseException) -> None:
        """Mark a trial that failed."""
        fail_constraints(self._trial)
        self._runs.finish("failed", f"{type(error).__name__}: {error}")

    def complete(self) -> None:
        """End the runs of a trial that is complete."""
        self._runs.finish("complete")

    @property
    def last_step(self) -> int | None:
        """Step of the last look, None where there was none."""
        return None if self.last is None else self.last.checkpoint.step

    def _explain(self, analysis: Analysis) -> Explanation:
        explanation = self._score.explain(analysis)
        if math.isfinite(explanation["score"]):
            return explanation
        logger.warning(
            "%s gave %s for trial %d; its maximum is used.",
            type(self._score).__name__,
            explanation["score"],
            self._trial.number,
        )
        return {**explanation, "score": self._score.maximum}


def forget(trial: optuna.Trial) -> None:
    """Drop what a retried trial inherits from the one that died."""
    for key in INHERITED:
        if trial.user_attrs.get(key) is not None:
            trial.set_user_attr(key, None)


def native(value: float) -> float | None:
    """Number as JSON knows it: no NaN, no infinity."""
    return float(value) if math.isfinite(value) else None
