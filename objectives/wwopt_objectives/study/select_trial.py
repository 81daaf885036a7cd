"""`select`: the trial to use at the end of a study, by score and training loss together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.trial import TrialState
from scipy.stats import rankdata

from wwopt_objectives.study.attributes import SCORE, TRAIN_LOSS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["is_feasible", "may_be_chosen", "select"]


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

    Examples
    --------
    >>> import optuna, torch
    >>> from wwopt_objectives import AlphaObjective
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90)), 0.5  # a model and its training loss
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=False), n_trials=2)
    >>> select(study).number == study.best_trial.number
    True
    """
    if not 0 <= loss_weight <= 1:
        raise ValueError(f"`loss_weight` must be between 0 and 1, got {loss_weight}.")
    found = _feasible(study, deepcopy=True)
    scores, losses = [score for _, score, _ in found], [loss for _, _, loss in found]
    if not any(map(math.isfinite, losses)):
        raise ValueError(
            f"No trial of {study.study_name!r} is complete and feasible with a training loss; "
            "`train` must give pairs (model, train_loss)."
        )
    mixed = (1 - loss_weight) * rankdata(scores) + loss_weight * rankdata(losses)
    return found[int(mixed.argmin())][0]


def may_be_chosen(study: Study, score: float, loss: float | None) -> bool:
    """Whether `select` may choose a trial that ends now, for some weight of the loss.

    It may unless a finished trial is as good in both numbers and better in one.
    """
    loss = math.inf if loss is None or not math.isfinite(loss) else loss
    return not any(
        other_score <= score and other_loss <= loss and (other_score, other_loss) != (score, loss)
        for _, other_score, other_loss in _feasible(study, deepcopy=False)
    )


def is_feasible(constraints: Mapping[str, float]) -> bool:
    """Whether all constraints of a trial are zero or less."""
    return all(value <= 0 for value in constraints.values())


def _feasible(study: Study, *, deepcopy: bool) -> list[tuple[FrozenTrial, float, float]]:
    """Complete and feasible trials that have a score, with score and training loss; infinity for an unknown loss."""
    found = []
    for trial in study.get_trials(deepcopy=deepcopy, states=(TrialState.COMPLETE,)):
        score, loss = trial.user_attrs.get(SCORE), trial.user_attrs.get(TRAIN_LOSS)
        if score is not None and is_feasible(trial.constraints):
            found.append((trial, float(score["score"]), math.inf if loss is None else float(loss)))
    return found
