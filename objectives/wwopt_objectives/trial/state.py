"""What `AlphaObjective` leaves on a trial for `AlphaPruner`: a few JSON-native numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis

__all__ = ["STATE", "State", "observe", "state_of"]

STATE = "ww_state"
MEMORY = 24  # looks that are kept; beyond that every second one is dropped


@dataclass(frozen=True)
class State:
    """A training as far as it has come.

    Attributes
    ----------
    steps, scores : array, shape (looks,)
        Steps that were looked at, ascending, and the objective's score at each.
    n_steps : int or None
        Steps that the training will take.
    unusable : float
        Share of the layers that are not finite, degenerate or without a fit, at the last look.
    stable_rank, trap_energy : float
        Of the worst layer, at the last look.
    """

    steps: np.ndarray[Any, np.dtype[np.float64]]
    scores: np.ndarray[Any, np.dtype[np.float64]]
    n_steps: int | None
    unusable: float
    stable_rank: float
    trap_energy: float

    @property
    def step(self) -> int:
        """The last step that was looked at."""
        return int(self.steps[-1])

    @property
    def slope(self) -> float:
        """Fall of the score per step over the last two looks; 0 where it rises, which says nothing of the end."""
        if len(self.steps) < 2:
            return 0.0
        return max(float((self.scores[-2] - self.scores[-1]) / (self.steps[-1] - self.steps[-2])), 0.0)

    def fall_from(self, step: int) -> float:
        """How far the score fell below its level at a step, 0 where it did not."""
        level = float(np.interp(step, self.steps, self.scores))
        return max(level - float(self.scores[self.steps >= step].min()), 0.0)


def observe(
    previous: dict[str, Any] | None, analysis: Analysis, score: float, step: int, n_steps: int | None
) -> dict[str, Any]:
    """Summarise a look for the pruner; ``previous`` is the summary of the look before."""
    rows, usable = analysis.numbers, analysis.words["status"] == "success"
    levels = [*(previous or {}).get("levels", []), [step, round(score, 6)]]
    return {
        "levels": levels if len(levels) <= MEMORY else levels[::-2][::-1],
        "n_steps": n_steps,
        "unusable": float(1 - usable.mean()) if len(usable) else 1.0,
        "stable_rank": float(np.nan_to_num(rows["stable_rank"]).min()) if len(usable) else 0.0,
        "trap_energy": float(np.nan_to_num(rows["trap_energy"]).max()) if len(usable) else 0.0,
    }


def state_of(trial: FrozenTrial) -> State | None:
    """Read the state of a trial; None where nobody looked at it."""
    kept = trial.user_attrs.get(STATE)
    if not kept:
        return None
    steps, scores = np.array(kept["levels"], dtype=np.float64).T
    return State(steps, scores, **{key: kept[key] for key in ("n_steps", "unusable", "stable_rank", "trap_energy")})
