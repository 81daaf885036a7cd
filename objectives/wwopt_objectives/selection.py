"""One trial at the end of a study, by its weights and its training loss together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.trial import TrialState
from scipy.stats import rankdata

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["select"]


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
    trials = [trial for trial in study.get_trials(states=(TrialState.COMPLETE,)) if _counts(trial)]
    if not trials:
        raise ValueError(
            f"No trial of {study.study_name!r} is complete and feasible with a training loss; "
            "`train` must give pairs (model, train_loss)."
        )
    by_score = rankdata([trial.user_attrs["ww_score"]["score"] for trial in trials])
    losses = [float(trial.user_attrs["train_loss"]) for trial in trials]
    by_loss = rankdata([loss if math.isfinite(loss) else math.inf for loss in losses])
    mixed = (1 - loss_weight) * by_score + loss_weight * by_loss
    return trials[int(mixed.argmin())]


def _counts(trial: FrozenTrial) -> bool:
    feasible = all(value <= 0 for value in trial.constraints.values())
    return feasible and {"ww_score", "train_loss"} <= trial.user_attrs.keys()
