"""State of a training, as the recorder leaves it on a trial for `AlphaPruner`: a few JSON-native numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt_objectives.study.attributes import STATE
from wwopt_objectives.trial.network_health import Health, broken_reason, health_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from wwopt.analysis import Analysis

__all__ = ["MAX_LEVELS", "Curve", "TrainingState", "read_state", "state_of", "update_state"]

MAX_LEVELS = 24  # evaluations that are kept; with one more every second one is dropped


@dataclass(frozen=True)
class Curve:
    """An objective over a training, lower is better.

    Attributes
    ----------
    steps, values : array, shape (evaluations,)
        Steps that were evaluated, ascending, and the objective at each.
    """

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def last(self) -> float:
        """The value at the last evaluation."""
        return float(self.values[-1])

    @property
    def slope(self) -> float:
        """Fall per step over the last two evaluations; 0 where the value rose."""
        if len(self.steps) < 2:
            return 0.0
        return max(float((self.values[-2] - self.values[-1]) / (self.steps[-1] - self.steps[-2])), 0.0)

    def fall_from(self, step: int) -> float:
        """How far the value fell below its level at a step, 0 where it did not."""
        return max(self._level(step) - self._lowest_from(step), 0.0)

    def share_lost_from(self, step: int) -> float:
        """The same as a share of that level, from 0 to 1; 0 where the level is not above zero."""
        level = self._level(step)
        return min(self.fall_from(step) / level, 1.0) if level > 0 else 0.0

    def _level(self, step: int) -> float:
        return float(np.interp(step, self.steps, self.values))

    def _lowest_from(self, step: int) -> float:
        return float(self.values[self.steps >= step].min())


@dataclass(frozen=True)
class TrainingState:
    """A training as far as it has come.

    Attributes
    ----------
    curves : tuple of Curve
        The score's, and that of the training loss where it is the second objective.
    n_steps : int or None
        Steps that the training will take.
    health : Health
        Of the network at the last evaluation.
    diverged : bool
        Whether the training loss of an evaluation was not finite.
    """

    curves: tuple[Curve, ...]
    n_steps: int | None
    health: Health
    diverged: bool = False

    @property
    def steps(self) -> NDArray[np.float64]:
        """Steps that were evaluated, ascending."""
        return self.curves[0].steps

    @property
    def step(self) -> int:
        """The last step that was evaluated."""
        return int(self.steps[-1])

    @property
    def broken(self) -> str | None:
        """Why to train on is pointless; None where it is not."""
        if self.diverged:
            return f"diverged: the training loss is not finite at step {self.step}"
        return broken_reason(self.health, self.step)


def update_state(
    previous: dict[str, Any] | None,
    analysis: Analysis,
    score: float,
    step: int,
    n_steps: int | None,
    *,
    loss: float | None = None,
    diverged: bool = False,
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
    loss : float, optional
        Training loss, where it is the study's second objective.
    diverged : bool
        Whether the training loss was not finite, now or before.

    Returns
    -------
    dict
        The trial's attribute ``ww_state``; `state_of` reads it.
    """
    levels = [*(previous or {}).get("levels", []), [step, round(score, 6)]]
    losses = {} if loss is None else {"losses": _thinned([*(previous or {}).get("losses", []), round(loss, 6)])}
    more = {**losses, **({"diverged": True} if diverged else {})}
    return {"levels": _thinned(levels), **more, "n_steps": n_steps, **health_of(analysis)._asdict()}


def _thinned(values: list[Any]) -> list[Any]:
    """Every second one where there are too many: then their number is odd, and the first and the last stay."""
    return values if len(values) <= MAX_LEVELS else values[::2]


def state_of(trial: FrozenTrial) -> TrainingState | None:
    """Read the state of a trial's training; None where it was never evaluated."""
    state = trial.user_attrs.get(STATE)
    return read_state(state) if state else None


def read_state(state: Mapping[str, Any]) -> TrainingState:
    """Read what `update_state` gave."""
    steps, *objectives = np.array(state["levels"], dtype=np.float64).T
    if "losses" in state:
        objectives.append(np.array(state["losses"], dtype=np.float64))
    curves = tuple(Curve(steps, values) for values in objectives)
    health = Health(*(state[name] for name in Health._fields))
    return TrainingState(curves, state["n_steps"], health, state.get("diverged", False))
