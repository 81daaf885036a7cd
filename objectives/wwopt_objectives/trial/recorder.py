"""Recorder of a trial: its evaluations, reports, snapshots and runs, and the record that it leaves at its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import optuna
from optuna.trial import TrialState

from wwopt.engine.analyze import analyze
from wwopt.tracking import hears_choices, tell_choice
from wwopt_objectives.study.attributes import (
    ANSWERS,
    PRUNED_BY,
    SCORE,
    STATE,
    STEP,
    SUMMARY,
    TRAIN_LOSS,
    TRIAL_ATTRIBUTES,
)
from wwopt_objectives.study.judged_trials import judge_trials
from wwopt_objectives.study.samplers import ignores_pruned_trials
from wwopt_objectives.study.score_definition import check_study_score, fix_study_options, study_min_evals, study_options
from wwopt_objectives.study.select_trial import as_choice
from wwopt_objectives.trial.ask_pruner import prune_reason
from wwopt_objectives.trial.asker import ModelInHand
from wwopt_objectives.trial.constraints import apply_constraints, fail_constraints, mark_unusable
from wwopt_objectives.trial.evaluation import Evaluation
from wwopt_objectives.trial.snapshots import SnapshotStore
from wwopt_objectives.trial.training_state import read_state, update_state
from wwopt_objectives.trial.unchanged_weights import warn_of_equal_trials, warn_of_unchanged_weights

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis
    from wwopt.score import Explanation, Score
    from wwopt.tracking import State, Tracker
    from wwopt_objectives.study.judged_trials import JudgedTrials
    from wwopt_objectives.trial.asker import Asker

__all__ = ["KEEP_N", "TrialRecorder"]

logger = logging.getLogger("wwopt")

KEEP_N = 10  # trials whose weights are kept
EARLY = 0.4  # share of a training before which a low score says little


class TrialRecorder:
    """Record a trial: evaluate its model, report, ask the pruner, and leave the result on the trial.

    As a context manager it records a trial that is left by an exception as pruned or as failed.

    Parameters
    ----------
    trial : optuna.Trial
        Running. What it inherited from a trial that died is dropped.
    score : Score
        What is reported. The study must have been begun with the same.
    n_steps : int, optional
        Steps that the training will take.
    trackers : iterable of Tracker
        Each gets a child run, opened at the first evaluation, when the parameters are known.
    artifact_store : optional
        Where the weights are kept; None: the default folder; False: nowhere.
    asker : Asker, optional
        Asks the network the inputs of the study.
    keep : {"best", "last"}
        Which evaluation becomes the result: the lowest score after the first 40% of ``n_steps``, or the last.
    keep_n : int, optional
        Trials whose weights are kept, the best so far; None for all.
    with_loss : bool
        Whether the study has the training loss as its second objective.
    analyze_options : mapping, optional
        Further arguments of `wwopt.analyze`.
    broken_trials : {"auto", "complete", "pruned"}
        How a trial ends that is stopped because its network is broken; see `AlphaObjective`.

    Raises
    ------
    ValueError
        The study has other directions, or was begun with another score or other options that change numbers.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        *,
        score: Score,
        n_steps: int | None = None,
        trackers: Iterable[Tracker] = (),
        artifact_store: ArtifactStore | Literal[False] | None = None,
        asker: Asker | None = None,
        keep: Literal["best", "last"] = "best",
        keep_n: int | None = KEEP_N,
        with_loss: bool = False,
        analyze_options: Mapping[str, Any] | None = None,
        broken_trials: Literal["auto", "complete", "pruned"] = "auto",
    ) -> None:
        self._options = {"progress": False, **score.requires, **(analyze_options or {})}
        check_study_score(trial.study, score, self._options, with_loss=with_loss)
        self._trial = trial
        self._score = score
        self._trackers = tuple(trackers)
        self._snapshots = SnapshotStore(trial, artifact_store, keep_n)
        self._asker = asker
        self._in_hand: ModelInHand | None = None
        self._keep = keep
        self._broken_trials = broken_trials
        self._state: dict[str, Any] | None = None
        self._diverged = False  # whether the loss of an evaluation was not finite
        self._last: Evaluation | None = None
        self._result: Evaluation | None = None
        self.n_steps = n_steps
        _reset(trial)

    @property
    def last_step(self) -> int | None:
        """Step of the last evaluation, None where there was none."""
        return None if self._last is None else self._last.step

    def options(self, model: object) -> dict[str, Any]:
        """Arguments of `wwopt.analyze` for a model of this trial: where no limit was given, it is the study's."""
        return {**self._options, "min_evals": study_min_evals(self._trial.study, model, self._options)}

    def evaluate(self, model: object, *, step: int, loss: float | None = None) -> Evaluation:
        """Analyse and score a model after a step of its training, and log it to the trackers.

        Raises
        ------
        ValueError
            No layer was measured, and the study has no evaluation yet.
        optuna.TrialPruned
            No layer was measured, as in no other trial of the study.
        """
        options = self.options(model) if self._last is None else self._options
        analysis = analyze(model, **options)
        self._check_measured(analysis)
        evaluation = Evaluation(step, loss, analysis, self._explain(analysis))
        if self._last is None:
            if options != self.options(model):
                return self.evaluate(model, step=step, loss=loss)  # another worker fixed the study's limit meanwhile
            fix_study_options(self._trial.study, self._score, options)
            self._options = options
        else:
            warn_of_unchanged_weights(self._trial, self._last, evaluation)
        becomes_result = self._becomes_result(evaluation)
        if becomes_result and self._may_be_final(evaluation):
            evaluation = self._asked(evaluation, model)
        self._last, self._in_hand = evaluation, ModelInHand(model)
        self._diverged = self._diverged or (loss is not None and not math.isfinite(loss))
        objective = loss if len(self._trial.study.directions) > 1 and not self._diverged else None
        self._state = update_state(
            self._state, analysis, evaluation.score, step, self.n_steps, loss=objective, diverged=self._diverged
        )
        metrics = {"ww/score": evaluation.score} | ({} if loss is None else {TRAIN_LOSS: loss})
        for run in self._runs:
            run.log(analysis, step=step, metrics=metrics)
        if becomes_result:
            self._result = evaluation
            self._snapshots.take(model)
        return evaluation

    def prune_reason(self) -> str | None:
        """Report the last evaluation to Optuna, and get why its pruner would stop the trial; None where it goes on."""
        trial, last = self._trial, self._last
        if last is None:
            return None
        if len(trial.study.directions) == 1:  # with more Optuna takes no reports
            trial.report(last.score, last.step)
        # What `should_prune` does, with the state that `AlphaPruner` reads: a read and a commit less each time.
        frozen = trial._get_latest_trial()  # noqa: SLF001
        frozen.user_attrs = {**frozen.user_attrs, STATE: self._state}
        reason = prune_reason(trial.study.pruner, trial.study, frozen)
        if reason is not None:
            self._ask_last()
        return reason

    def complete(self) -> Evaluation:
        """Record a trial that ran to its end, keep its weights, and return the evaluation that is its result.

        Raises
        ------
        RuntimeError
            Nothing was evaluated.
        """
        if self._result is None:
            raise RuntimeError("The trial has no result: nothing was evaluated.")
        if self._result is self._last:
            self._ask_last()
        result = self._result
        warn_of_equal_trials(self._trial, result.analysis, _as_json(result.analysis.summary))
        self._record(result)
        self._compare(result, TrialState.COMPLETE)
        self._finish_runs("complete")
        return result

    def stop(self, reason: str) -> Evaluation:
        """End a trial early, and return its last evaluation where it ends as complete and infeasible.

        That is what a broken network does where the sampler reads complete trials only: of a pruned one it learns
        nothing, and suggests the same again.

        Raises
        ------
        optuna.TrialPruned
            The trial ends as pruned.
        """
        last = self._last
        is_broken = self._state is not None and read_state(self._state).broken is not None
        if last is None or not (self._completes_broken and is_broken):
            raise optuna.TrialPruned(reason)
        self._ask_last()
        self._trial.set_user_attr(PRUNED_BY, reason)
        self._record(last := self._last or last)
        self._compare(None, TrialState.COMPLETE)
        self._finish_runs("complete", reason)
        return last

    def prune(self, reason: str) -> None:
        """Record a trial that was pruned, by the study's pruner or by the training itself."""
        self._ask_last()
        self._trial.set_user_attr(PRUNED_BY, reason)
        if self._last is None:
            fail_constraints(self._trial)
        else:
            self._record(self._last)
        self._compare(None, TrialState.PRUNED)
        self._finish_runs("pruned", reason)

    def fail(self, error: BaseException) -> None:
        """Mark a trial that failed as infeasible."""
        fail_constraints(self._trial)
        self._finish_runs("failed", f"{type(error).__name__}: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, optuna.TrialPruned):
            self.prune(str(error) or "the training pruned itself")
        elif error is not None:
            self.fail(error)

    @property
    def _completes_broken(self) -> bool:
        if self._broken_trials == "auto":
            return ignores_pruned_trials(self._trial.study.sampler)
        return self._broken_trials == "complete"

    @cached_property
    def _runs(self) -> list[Tracker]:
        """The trial's run in each tracker."""
        trial = self._trial
        tags = {"study": trial.study.study_name, "trial": str(trial.number)}
        return [tracker.child(f"trial-{trial.number}", params=trial.params, tags=tags) for tracker in self._trackers]

    def _may_be_final(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation may be the one that counts, if the training goes on to its end."""
        if self.n_steps is None:
            return True
        return not self._is_early(evaluation) and (self._keep == "best" or evaluation.step + 1 >= self.n_steps)

    def _asked(self, evaluation: Evaluation, model: object) -> Evaluation:
        if self._asker is None or evaluation.answers is not None:
            return evaluation
        return replace(evaluation, answers=self._asker.ask(model, self._trial))

    def _ask_last(self) -> None:
        """Ask the network of the last evaluation, where it was not asked and has not changed since."""
        last, in_hand = self._last, self._in_hand
        if last is None or in_hand is None:
            return
        if in_hand.has_changed and last.answers is None and self._asker is not None:
            asked = replace(last, answers="its weights went on changing after its last evaluation")
        else:
            asked = self._asked(last, in_hand.model)
        if self._result is last:
            self._result = asked
        self._last = asked

    def _compare(self, result: Evaluation | None, state: TrialState) -> None:
        """Judge the trial among the others: keep its weights or not, and tell the trackers which one is chosen now."""
        self._in_hand = None
        trackers = [tracker for tracker in self._trackers if hears_choices(tracker)]
        if not trackers and (result is None or not self._snapshots.has_weights):
            return
        judged = None
        try:
            ending = _ending(self._trial, state, self._result or self._last)
            judged = judge_trials(self._trial.study, artifact_store=self._snapshots.store, ending=ending)
        except Exception:
            logger.warning("Trial %d could not be compared with the others.", self._trial.number, exc_info=True)
        kept = result is not None and self._snapshots.keep(result, judged)
        self._tell(trackers, judged, kept=kept)

    def _tell(self, trackers: Iterable[Tracker], judged: JudgedTrials | None, *, kept: bool) -> None:
        mine = frozenset([self._trial.number]) if kept else frozenset()
        choice = None if judged is None else as_choice(self._trial.study, judged, kept=mine)
        if choice is None:
            return
        for tracker in trackers:
            try:
                tell_choice(tracker, choice)
            except Exception:  # of a user's own tracker, whose `choose` may mean something else
                logger.warning("%s could not be told the choice.", type(tracker).__name__, exc_info=True)

    def _finish_runs(self, state: State, reason: str = "") -> None:
        for run in self._runs:
            run.finish(state, reason=reason)

    def _check_measured(self, analysis: Analysis) -> None:
        """Raise where no layer was measured: an error at the study's first evaluation, whose options may be wrong."""
        if analysis.unmeasured and not study_options(self._trial.study):
            raise ValueError(f"No layer was measured: {analysis.unmeasured}")
        if analysis.unmeasured:
            raise optuna.TrialPruned(
                f"not measured: {analysis.unmeasured} The study has other networks that were measured, so its limit "
                "stays; begin another study with `analyze_options`."
            )

    def _explain(self, analysis: Analysis) -> Explanation:
        """Score an analysis; a score that is not finite becomes the score's ``maximum``."""
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

    def _becomes_result(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation takes the place of the result so far; a tie goes to the longer training."""
        result = self._result
        return result is None or self._keep == "last" or self._is_early(result) or evaluation.score <= result.score

    def _is_early(self, evaluation: Evaluation) -> bool:
        return self.n_steps is not None and evaluation.step + 1 < EARLY * self.n_steps

    def _record(self, evaluation: Evaluation) -> None:
        """Leave an evaluation on the trial; once, at its end: each attribute is a commit to the study's storage."""
        trial = self._trial
        terms, summary = evaluation.explanation["terms"], evaluation.analysis.summary
        trial.set_user_attr(SCORE, {"score": evaluation.score, "terms": _as_json(terms)})
        trial.set_user_attr(SUMMARY, _as_json(summary))
        trial.set_user_attr(STEP, evaluation.step)
        trial.set_user_attr(STATE, self._state)
        if evaluation.loss is not None:
            trial.set_user_attr(TRAIN_LOSS, _finite(evaluation.loss))
        if evaluation.answers is not None:
            trial.set_user_attr(ANSWERS, self._snapshots.answers_attribute(evaluation.answers))
        apply_constraints(trial, evaluation.analysis)
        if self._diverged:
            mark_unusable(trial)


def _reset(trial: optuna.Trial) -> None:
    """Drop what a retried trial inherits from the one that died."""
    for key in TRIAL_ATTRIBUTES:
        if trial.user_attrs.get(key) is not None:
            trial.set_user_attr(key, None)


def _ending(trial: optuna.Trial, state: TrialState, evaluation: Evaluation | None) -> FrozenTrial:
    """Return a trial as it will be in a moment, when its objective has returned."""
    ending = trial._get_latest_trial()  # noqa: SLF001
    ending.state = state
    if evaluation is not None and state == TrialState.COMPLETE:
        loss = evaluation.loss
        values = [evaluation.score, *([] if len(trial.study.directions) == 1 else [math.inf if loss is None else loss])]
        ending.values = values
    return ending


def _as_json(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    """A number that JSON has; None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
