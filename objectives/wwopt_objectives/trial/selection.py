"""One trial at the end of a study, by its weights and its training loss together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from optuna.trial import TrialState
from scipy.stats import rankdata

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["feasible", "numbers_of", "select"]


def select(study: Study, *, loss_weight: float = 0.25) -> FrozenTrial:
    """Choose the trial with the best mix of ranks by score and by training loss.

    Ranks are mixed rather than values, which have different units. The training loss is no test data, and each of the
    two errs where the other does not: the loss where labels are wrong and training is long, the score where networks
    hardly differ.

    Parameters
    ----------
    study : optuna.Study
        Run with an `AlphaObjective` whose ``train`` gives pairs ``(model, train_loss)``; with one direction or two.
    loss_weight : float
        Weight of the rank by loss, in [0, 1]; that of the score has the rest.

    Raises
    ------
    ValueError
        No trial is complete and feasible with a training loss, or the weight is out of range.
    """
    if not 0 <= loss_weight <= 1:
        raise ValueError(f"`loss_weight` must be between 0 and 1, got {loss_weight}.")
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    found = [(trial, numbers) for trial in trials if feasible(trial.constraints) and (numbers := numbers_of(trial))]
    if not any(math.isfinite(loss) for _, (_, loss) in found):
        raise ValueError(
            f"No trial of {study.study_name!r} is complete and feasible with a training loss; "
            "`train` must give pairs (model, train_loss)."
        )
    by_score, by_loss = (rankdata([numbers[place] for _, numbers in found]) for place in (0, 1))
    mixed = (1 - loss_weight) * by_score + loss_weight * by_loss
    return found[int(mixed.argmin())][0]


def feasible(constraints: Mapping[str, float]) -> bool:
    """Whether no constraint is broken."""
    return all(value <= 0 for value in constraints.values())


def numbers_of(trial: FrozenTrial) -> tuple[float, float] | None:
    """Score and training loss of a trial, infinity for a loss that is not known; None without a score."""
    score, loss = trial.user_attrs.get("ww_score"), trial.user_attrs.get("train_loss")
    return None if score is None else (float(score["score"]), math.inf if loss is None else float(loss))
