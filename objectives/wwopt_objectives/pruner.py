"""`AlphaPruner`: stops a training by its weights, from the first trial on."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.pruners import BasePruner, HyperbandPruner

from wwopt.score import AlphaScore
from wwopt_objectives.constraints import FEWEST_DIRECTIONS, MOST_TRAPPED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis

__all__ = ["STATE", "AlphaPruner", "observe"]

STATE = "ww_state"  # the attribute of a trial in which the objective leaves what the pruner looks at
SPEAKS = 0.4  # share of a training after which alpha says something about its end
MEMORY = 6  # looks that are kept, enough for a trend


def observe(previous: dict[str, Any] | None, analysis: Analysis, step: int, n_steps: int | None) -> dict[str, Any]:
    """Summarise an analysis for the pruner in a few JSON-native numbers; ``previous`` is the last summary."""
    rows, score = analysis.details, AlphaScore()
    levels = [*(previous or {}).get("levels", []), [step, round(score(analysis), 6)]][-MEMORY:]
    return {
        "levels": levels,
        "n_steps": n_steps,
        "unusable": float((rows["status"] != "success").mean()) if len(rows) else 1.0,
        "stable_rank": float(rows["stable_rank"].fillna(0.0).min()) if len(rows) else 0.0,
        "trap_energy": float(rows["trap_energy"].fillna(0.0).max()) if len(rows) else 0.0,
    }


class AlphaPruner(BasePruner):
    """Prune trainings whose weights say that they have failed or are going nowhere.

    Other pruners compare a trial with earlier ones. Alpha has an absolute scale, so this one needs none:

    - from the first look on, it prunes what has collapsed or diverged: layers that are not finite or
      degenerate, a stable rank below 1.5, a trap energy above 0.1;
    - once alpha speaks, after ``n_warmup_steps``, it prunes what is above ``max_score`` on `AlphaScore`'s
      scale, or above the best finished trial by ``margin``, and does not fall fast enough to come below
      that by the end.

    Parameters
    ----------
    n_startup_trials : int
        Number of finished trials before any is pruned.
    n_warmup_steps : int or "auto"
        Steps before level and trend count. "auto": 40% of the objective's ``n_steps``; where that is not
        known, level and trend do not count.
    interval_steps : int
        Steps between two decisions, counted from the end of the warm-up.
    max_score : float
        `AlphaScore` above which a network is not worth its training, whatever the others are. Noise has about 6.
    margin : float
        How much worse than the best finished trial a network may be and go on.
    wrapped : BasePruner, optional
        Another pruner, which is asked when this one sees no reason.

    Notes
    -----
    Works with `AlphaObjective`, which leaves what is needed on the trial. A trial without it is never
    pruned by alpha. Collapse is judged in the warm-up too.

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
        max_score: float = 6.0,
        margin: float = 1.5,
        wrapped: BasePruner | None = None,
    ) -> None:
        if n_startup_trials < 0:
            raise ValueError(f"`n_startup_trials` must be 0 or more, got {n_startup_trials}.")
        if n_warmup_steps != "auto" and (not isinstance(n_warmup_steps, int) or n_warmup_steps < 0):
            raise ValueError(f'`n_warmup_steps` must be "auto" or 0 or more, got {n_warmup_steps!r}.')
        if interval_steps < 1:
            raise ValueError(f"`interval_steps` must be at least 1, got {interval_steps}.")
        for name, value in (("max_score", max_score), ("margin", margin)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"`{name}` must be a positive number, got {value}.")
        if isinstance(wrapped, HyperbandPruner):
            warnings.warn(
                "Optuna filters a sampler's trials by bracket only where HyperbandPruner is the study's own pruner; "
                "wrapped, it prunes but does not filter.",
                stacklevel=2,
            )
        self._n_startup_trials = n_startup_trials
        self._n_warmup_steps = n_warmup_steps
        self._interval_steps = interval_steps
        self._max_score = max_score
        self._margin = margin
        self._wrapped = wrapped

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Decide as Optuna asks; `reason` says why."""
        return self.reason(study, trial) is not None

    def reason(self, study: optuna.Study, trial: FrozenTrial) -> str | None:
        """Say why a trial should be pruned, or None where it should go on."""
        if self._n_startup_trials and _finished(study) < self._n_startup_trials:
            return None
        state = trial.user_attrs.get(STATE)
        own = self._own_reason(study, state) if state else None
        if own is None and self._wrapped is not None and self._wrapped.prune(study, trial):
            return type(self._wrapped).__name__
        return own

    def _own_reason(self, study: optuna.Study, state: dict[str, Any]) -> str | None:
        step = state["levels"][-1][0]
        if state["unusable"] > 0:
            return f"collapsed: {state['unusable']:.0%} of the layers cannot be fitted at step {step}"
        if state["stable_rank"] < FEWEST_DIRECTIONS:
            return f"collapsed: a stable rank of {state['stable_rank']:.2f} at step {step}"
        if state["trap_energy"] > MOST_TRAPPED:
            return f"diverged: {state['trap_energy']:.0%} of a layer's energy in stray elements at step {step}"
        return self._hopeless(study, state["levels"], state["n_steps"])

    def _hopeless(self, study: optuna.Study, levels: list[list[float]], n_steps: int | None) -> str | None:
        warmup = self._warmup(n_steps)
        step, level = levels[-1]
        if warmup is None or step < warmup or not self._asked(levels, warmup):
            return None
        limit = min(self._max_score, _best_level(study) + self._margin)
        expected = level + _slope(levels) * max((n_steps or step + 1) - 1 - step, 0)
        if expected <= limit:
            return None
        return f"going nowhere: score {level:.2f} at step {step}, {expected:.2f} by the end, above {limit:.2f}"

    def _warmup(self, n_steps: int | None) -> int | None:
        if self._n_warmup_steps != "auto":
            return self._n_warmup_steps
        return None if n_steps is None else math.ceil(SPEAKS * n_steps) - 1

    def _asked(self, levels: list[list[float]], warmup: int) -> bool:
        """Whether an interval has passed since the look before: looks need not come at every step."""
        step = levels[-1][0]
        before = levels[-2][0] if len(levels) > 1 else warmup - 1
        return (step - warmup) // self._interval_steps > (before - warmup) // self._interval_steps


def _finished(study: optuna.Study) -> int:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return len(study.get_trials(deepcopy=False, states=states))


def _best_level(study: optuna.Study) -> float:
    """Score of the best finished trial by its weights; infinity where none is finished."""
    finished = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    states = [trial.user_attrs.get(STATE) for trial in finished]
    return min((state["levels"][-1][1] for state in states if state), default=math.inf)


def _slope(levels: list[list[float]]) -> float:
    """Fall of the score per step over the last two looks; 0 where it rises, which says nothing of the end."""
    if len(levels) < 2:
        return 0.0
    (before, earlier), (now, level) = levels[-2], levels[-1]
    return min((level - earlier) / (now - before), 0.0)
