"""`AlphaPruner`: stops a training by its weights, from the first trial on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from wwopt_objectives.trial.constraints import FEWEST_DIRECTIONS, MOST_TRAPPED
from wwopt_objectives.trial.prune_reason import ask, warn_of_hyperband
from wwopt_objectives.trial.state import State, state_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["AlphaPruner"]

WARMUP = 0.25  # share of a training after which its score says something about its end


class AlphaPruner(BasePruner):
    """Prune trainings whose weights say that they have failed or cannot become the best.

    - From the first look of the first trial on, it prunes what has collapsed or diverged, which shows in the
      weights on an absolute scale: layers that are not finite or degenerate, a stable rank below 1.5, a trap
      energy above 0.1.
    - After ``n_warmup_steps`` and once ``n_min_trials`` have finished, it prunes what cannot come below the
      best finished trial any more. What a score may still fall is learned from the finished trials, the most
      that one of them fell from the same step on, or the trial's own present fall where that leads further; so
      it holds for any score. With several directions the bar is the median finished trial.

    Parameters
    ----------
    n_startup_trials : int
        Number of finished trials before any is pruned.
    n_warmup_steps : int or "auto"
        Steps before the level counts. "auto": a quarter of the objective's ``n_steps``, or of the longest
        finished training where that is not known. Collapse is judged in the warm-up too.
    interval_steps : int
        Steps between two decisions on the level, counted from the end of the warm-up.
    n_min_trials : int
        Finished trials that were still training at this step, before the level counts.
    margin : float
        How much worse than the best finished trial a training may be and go on, as a share of the distance
        from the best to the median finished trial.
    wrapped_pruner : BasePruner, optional
        Another pruner, which is asked when this one sees no reason.

    Notes
    -----
    Works with `AlphaObjective` and the callbacks, which leave what is needed on the trial; one without it is never
    pruned by alpha. Stateless: one pruner serves many threads, and processes may have one each.

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
        if wrapped_pruner is not None and not isinstance(wrapped_pruner, BasePruner):
            raise TypeError(f"`wrapped_pruner` must be an Optuna pruner, got {type(wrapped_pruner).__name__}.")
        warn_of_hyperband([wrapped_pruner])
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
        if self._n_startup_trials and _count(study) < self._n_startup_trials:
            return None
        state = state_of(trial)
        own = None if state is None else _broken(state) or self._hopeless(study, state)
        if own is None and self._wrapped_pruner is not None:
            return ask(self._wrapped_pruner, study, trial)
        return own

    def _hopeless(self, study: optuna.Study, state: State) -> str | None:
        """Say that a training cannot become the best any more."""
        if state.n_steps and not self._asked(state, state.n_steps):
            return None  # before anything is read from the storage
        finished = _finished(study)
        comparable = [(other, bar) for other, bar in finished if other.steps[0] <= state.step <= other.steps[-1]]
        end = state.n_steps - 1 if state.n_steps else max((other.step for other, _ in finished), default=0)
        if len(comparable) < self._n_min_trials or not state.step < end or not self._asked(state, end + 1):
            return None
        fall = max(state.slope * (end - state.step), *(other.fall_from(state.step) for other, _ in comparable))
        level, limit = state.scores[-1], self._limit(study, [bar for _, bar in finished])
        if level - fall <= limit:
            return None
        return f"going nowhere: score {level:.3g} at step {state.step}, {level - fall:.3g} at best, above {limit:.3g}"

    def _limit(self, study: optuna.Study, bars: list[float]) -> float:
        """Score that a training must be able to reach; infeasible trials have a bar of infinity."""
        feasible = [bar for bar in bars if math.isfinite(bar)]
        if not feasible:
            return math.inf
        best, middle = min(feasible), float(np.median(feasible))
        return middle if len(study.directions) > 1 else best + self._margin * (middle - best)

    def _asked(self, state: State, n_steps: int) -> bool:
        """Whether the warm-up is over and an interval has passed since the look before: looks may skip steps."""
        warmup = math.ceil(WARMUP * n_steps) - 1 if self._n_warmup_steps == "auto" else self._n_warmup_steps
        before = state.steps[-2] if len(state.steps) > 1 else warmup - 1
        since_now, since_before = ((step - warmup) // self._interval_steps for step in (state.step, before))
        return state.step >= warmup and bool(since_now > since_before)


def _broken(state: State) -> str | None:
    """Say that a network has collapsed or diverged."""
    if state.unusable > 0:
        return f"collapsed: {state.unusable:.0%} of the layers cannot be fitted at step {state.step}"
    if state.stable_rank < FEWEST_DIRECTIONS:
        return f"collapsed: a stable rank of {state.stable_rank:.2f} at step {state.step}"
    if state.trap_energy > MOST_TRAPPED:
        return f"diverged: {state.trap_energy:.0%} of a layer's energy in stray elements at step {state.step}"
    return None


def _count(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _finished(study: optuna.Study) -> list[tuple[State, float]]:
    """Trainings that ran to their end, each with the score that it was given; infinity where it is not feasible."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pairs = [(state_of(trial), trial) for trial in trials]
    return [(state, _bar(state, trial)) for state, trial in pairs if state is not None]


def _bar(state: State, trial: FrozenTrial) -> float:
    if any(value > 0 for value in trial.constraints.values()):
        return math.inf
    given = trial.user_attrs.get("ww_score")
    return float(given["score"] if given else state.scores[-1])
