"""State of a training, as the recorder leaves it on a trial for `AlphaPruner`: a few JSON-native numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt_objectives.study.attributes import STATE
from wwopt_objectives.trial.network_health import Health, health_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis

__all__ = ["MAX_LEVELS", "TrainingState", "state_of", "update_state"]

MAX_LEVELS = 24  # evaluations that are kept; with one more every second one is dropped


@dataclass(frozen=True)
class TrainingState:
    """A training as far as it has come.

    Attributes
    ----------
    steps, scores : array, shape (evaluations,)
        Steps that were evaluated, ascending, and the objective's score at each.
    n_steps : int or None
        Steps that the training will take.
    health : Health
        Of the network at the last evaluation.
    """

    steps: NDArray[np.float64]
    scores: NDArray[np.float64]
    n_steps: int | None
    health: Health

    @property
    def step(self) -> int:
        """The last step that was evaluated."""
        return int(self.steps[-1])

    @property
    def slope(self) -> float:
        """Fall of the score per step over the last two evaluations; 0 where it rose."""
        if len(self.steps) < 2:
            return 0.0
        return max(float((self.scores[-2] - self.scores[-1]) / (self.steps[-1] - self.steps[-2])), 0.0)

    def fall_from(self, step: int) -> float:
        """How far the score fell below its level at a step, 0 where it did not."""
        level = float(np.interp(step, self.steps, self.scores))
        return max(level - float(self.scores[self.steps >= step].min()), 0.0)


def update_state(
    previous: dict[str, Any] | None, analysis: Analysis, score: float, step: int, n_steps: int | None
) -> dict[str, Any]:
    """Add an evaluation to a training's state.

    Parameters
    ----------
    previous : dict or None
        The state before, None at the first evaluation.
    analysis : wwopt.Analysis
        Of the network as it is now.
    score : float
        Its score.
    step : int
        The step that was evaluated.
    n_steps : int or None
        Steps that the training will take.

    Returns
    -------
    dict
        The trial's attribute ``ww_state``; `state_of` reads it.
    """
    levels = [*(previous or {}).get("levels", []), [step, round(score, 6)]]
    return {
        "levels": levels if len(levels) <= MAX_LEVELS else levels[::2],  # an odd number: the first and the last stay
        "n_steps": n_steps,
        **health_of(analysis)._asdict(),
    }


def state_of(trial: FrozenTrial) -> TrainingState | None:
    """Read the state of a trial's training; None where it was never evaluated."""
    state = trial.user_attrs.get(STATE)
    if not state:
        return None
    steps, scores = np.array(state["levels"], dtype=np.float64).T
    return TrainingState(steps, scores, state["n_steps"], Health(*(state[name] for name in Health._fields)))
