"""`AlphaPruner`: prune trainings by their weights, from the first trial on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from wwopt_objectives.pruners.wrapped_pruners import check_wrapped
from wwopt_objectives.study.attributes import PRUNED_BY, SCORE
from wwopt_objectives.study.judged_trials import is_feasible
from wwopt_objectives.trial.ask_pruner import prune_reason
from wwopt_objectives.trial.training_state import TrainingState, state_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from wwopt.arrays import Floats

__all__ = ["AlphaPruner"]

OBJECTIVES = ("score", "loss")
WARMUP = 0.25  # share of a training after which its score says something about its end


class AlphaPruner(BasePruner):
    """Prune trainings whose weights say that they have failed or cannot become the best.

    - From the first evaluation of the first trial on, it prunes what has collapsed or diverged, which shows in the
      weights on an absolute scale: what `Analysis.findings` calls broken. See docs/findings.md. So it does where the
      training loss is not finite.
    - After ``n_warmup_steps`` and once ``n_min_trials`` have finished, it prunes what cannot become the best any more.
      The best score that a trial can still reach is its score now less the largest fall that a finished trial had from
      the same step on, or less its own present slope extended to the end, where that is more; so it holds for any
      score. What it must reach is the best finished score and a margin. Where the training loss is a second objective,
      the same is asked of the loss, and only a trial that falls short of one finished trial and of the median in both
      is pruned: any other may still belong to the Pareto front.

    Parameters
    ----------
    n_startup_trials : int
        Number of finished trials before any is pruned.
    n_warmup_steps : int or "auto"
        Steps before a score is compared with others. "auto": a quarter of the objective's ``n_steps``, or of the
        longest finished training where that is not known. Collapse is judged in the warm-up too.
    interval_steps : int
        Steps between two such comparisons, counted from the end of the warm-up.
    n_min_trials : int
        Finished trials that were still training at the same step, before a score is compared with theirs.
    margin : float
        How much worse than the best finished trial a training may be and go on, as a share of the distance
        from the best to the median finished trial; of each objective.
    wrapped_pruner : BasePruner, optional
        Another pruner, asked where this one finds no reason.

    Notes
    -----
    Works with `AlphaObjective` and the callbacks, which leave the training's state on the trial; a trial without it is
    never pruned by its weights. Stateless: one pruner serves many threads, and processes may have one each.

    Examples
    --------
    >>> import optuna
    >>> study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    """

    def __init__(
        self,
        *,
        n_startup_trials: int = 0,
        n_warmup_steps: int | Literal["auto"] = "auto",
        interval_steps: int = 1,
        n_min_trials: int = 3,
        margin: float = 0.25,
        wrapped_pruner: BasePruner | None = None,
    ) -> None:
        if n_startup_trials < 0:
            raise ValueError(f"`n_startup_trials` must be 0 or more, got {n_startup_trials}.")
        if n_warmup_steps != "auto" and (not isinstance(n_warmup_steps, int) or n_warmup_steps < 0):
            raise ValueError(f'`n_warmup_steps` must be "auto" or 0 or more, got {n_warmup_steps!r}.')
        for name, value in (("interval_steps", interval_steps), ("n_min_trials", n_min_trials)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if not (math.isfinite(margin) and margin >= 0):
            raise ValueError(f"`margin` must be a finite number, 0 or more, got {margin}.")
        if wrapped_pruner is not None:
            check_wrapped("wrapped_pruner", wrapped_pruner)
        self._n_startup_trials = n_startup_trials
        self._n_warmup_steps = n_warmup_steps
        self._interval_steps = interval_steps
        self._n_min_trials = n_min_trials
        self._margin = margin
        self._wrapped_pruner = wrapped_pruner

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Decide as Optuna asks; `reason` says why."""
        return self.reason(study, trial) is not None

    def reason(self, study: optuna.Study, trial: FrozenTrial) -> str | None:
        """Say why a trial should be pruned, or None where it should go on."""
        if self._n_startup_trials and _count_finished(study) < self._n_startup_trials:
            return None
        state = state_of(trial)
        own = None if state is None else state.broken or self._score_reason(study, state)
        if own is None and self._wrapped_pruner is not None:
            return prune_reason(self._wrapped_pruner, study, trial)
        return own

    def _score_reason(self, study: optuna.Study, state: TrainingState) -> str | None:
        """Say that a training cannot become the best any more; None where it can, or where nothing can be said."""
        if state.n_steps and not self._is_due(state, state.n_steps):
            return None  # before anything is read from the storage
        finished = _finished(study)
        comparable = [other for other, _ in finished if _is_comparable(other, state)]
        n_steps = state.n_steps or max((other.step for other, _ in finished), default=0) + 1
        remaining = n_steps - 1 - state.step
        if len(comparable) < self._n_min_trials or remaining <= 0 or not self._is_due(state, n_steps):
            return None
        if len(state.curves) != len(study.directions):
            return None  # the loss is not known
        reachable = np.array([_reachable(index, state, comparable, remaining) for index in range(len(state.curves))])
        needed = self._needed(reachable, [final for _, final in finished])
        if needed is None:
            return None
        last = ", ".join(f"{name} {curve.last:.3g}" for name, curve in zip(OBJECTIVES, state.curves, strict=False))
        return (
            f"pruned: can reach {_words(reachable)} at best; {_words(needed)} is needed ({last} at step {state.step})"
        )

    def _needed(self, reachable: Floats, finals: list[tuple[float, ...]]) -> Floats | None:
        """Values, of a feasible finished trial and the margin, that a training misses in every objective; or None."""
        feasible = np.array([final for final in finals if math.isfinite(final[0])])
        if not len(feasible):
            return None
        best, median = feasible.min(axis=0), np.median(feasible, axis=0)
        limits = feasible + self._margin * (median - best)
        if len(median) > 1:  # two objectives: of neither may the better half be within reach
            limits = np.maximum(limits, median)
        missed = limits[(reachable > limits).all(axis=1)]
        return None if not len(missed) else missed[missed[:, 0].argmin()]

    def _is_due(self, state: TrainingState, n_steps: int) -> bool:
        """Whether the warm-up is over and an interval began since the last evaluation; evaluations may skip steps."""
        warmup = math.ceil(WARMUP * n_steps) - 1 if self._n_warmup_steps == "auto" else self._n_warmup_steps
        before = state.steps[-2] if len(state.steps) > 1 else warmup - 1
        interval, interval_before = ((step - warmup) // self._interval_steps for step in (state.step, before))
        return state.step >= warmup and bool(interval > interval_before)


def _count_finished(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _finished(study: optuna.Study) -> list[tuple[TrainingState, tuple[float, ...]]]:
    """Trainings that ran to their end, each with its final objectives."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pairs = [(state_of(trial), trial) for trial in trials if not trial.user_attrs.get(PRUNED_BY)]
    return [(state, _final_values(state, trial)) for state, trial in pairs if state is not None]


def _final_values(state: TrainingState, trial: FrozenTrial) -> tuple[float, ...]:
    """Objectives that a finished trial was given; infinity where it is not feasible."""
    if not is_feasible(trial.constraints):
        return (math.inf,) * len(trial.values)
    given = trial.user_attrs.get(SCORE)
    return float(given["score"] if given else state.curves[0].last), *trial.values[1:]


def _is_comparable(other: TrainingState, state: TrainingState) -> bool:
    """Whether a finished training has the same objectives, and was still going on at this step."""
    return len(other.curves) == len(state.curves) and other.steps[0] <= state.step <= other.steps[-1]


def _reachable(index: int, state: TrainingState, comparable: list[TrainingState], remaining: int) -> float:
    """Lowest value of an objective that a training can still reach.

    With two objectives also as a share of its value: what is far behind in one of them mostly falls further.
    """
    curve, others = state.curves[index], [other.curves[index] for other in comparable]
    falls = [other.fall_from(state.step) for other in others]
    if len(state.curves) > 1:
        falls += [curve.last * other.share_lost_from(state.step) for other in others]
    return curve.last - max(curve.slope * remaining, *falls)


def _words(values: Floats) -> str:
    return " and a loss of ".join(f"{value:.3g}" for value in values)
