"""`select`: the trial to use at the end of a study, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from wwopt.tracking import Choice
from wwopt_objectives.study.attributes import ARTIFACTS, PRUNED_BY, SCORE, TRAIN_LOSS
from wwopt_objectives.study.judged_trials import judge_trials
from wwopt_objectives.study.kept_weights import trials_without_weights

if TYPE_CHECKING:
    from optuna import Study
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.consensus import Rung
    from wwopt_objectives.study.judged_trials import JudgedTrials

__all__ = ["ChosenTrial", "Reason", "as_choice", "choose_trial", "select"]

RUNNERS_UP = 3
GROUND = "Chosen as "  # how a verdict's reason begins
BY = {
    "weights": "by the weights alone",
    "weights and loss": "by the weights and the training loss",
    "inputs": "by the vote on the inputs",
    "inputs and loss": "by the vote on the inputs and the training loss",
}


@dataclass(frozen=True)
class Reason:
    """Why a trial was chosen; as a string, in a sentence or two.

    Attributes
    ----------
    sentence : str
        The reason in words.
    rung : {"weights", "weights and loss", "inputs", "inputs and loss"}
        The data that the choice used beside the weights.
    can_tell : bool
        Whether the networks could tell who is best; else a rule chose, which the sentence names.
    agreement : float or None
        Agreement with the vote of the others, at most 1, 0 by chance; None where there was no vote.
    score : float
        Score by the weights, lower is better.
    loss : float or None
        Training loss, where it is known.
    meter : float or None
        Share of the inputs at which the vote contradicts the given labels; None where labels were not asked for.
    excess : float or None
        How far networks agree with each other beyond what their losses allow: above 0.08 labels look wrong. It needs
        no labels; None where no loss is known or claimed.
    runners_up : tuple of int
        Numbers of the trials that came next.
    no_vote : mapping of int to str
        Who had no vote and why, by the number of the trial.
    best : int or None
        Number of the trial of the best value, as Optuna says it; None where the study has several objectives.
    not_kept : int or None
        Number of the trial that would have come first, had its weights been kept.
    """

    sentence: str
    rung: Rung
    can_tell: bool
    agreement: float | None
    score: float
    loss: float | None
    meter: float | None
    excess: float | None
    runners_up: tuple[int, ...]
    no_vote: Mapping[int, str]
    best: int | None
    not_kept: int | None

    def __str__(self) -> str:
        return self.sentence


class ChosenTrial(FrozenTrial):
    """A trial of a study, equal to the study's own, with the reason why it was chosen.

    Attributes
    ----------
    reason : Reason
        Why.
    """

    __slots__ = ("reason",)  # no part of what `FrozenTrial` compares

    reason: Reason

    @classmethod
    def of(cls, trial: FrozenTrial, reason: Reason) -> Self:
        """Make it of a study's trial."""
        chosen = cls.__new__(cls)
        vars(chosen).update(vars(trial))
        chosen.reason = reason
        return chosen


def select(study: Study, *, artifact_store: ArtifactStore | None = None) -> ChosenTrial:
    """Choose the trial to use at the end of a study.

    Where the objective was given ``inputs``, the trials judge each other by their answers, with the training loss where
    it is known (see `wwopt.consensus.choose`): networks that agree with the vote of the others beyond chance are mostly
    right. Without answers the training loss chooses among the networks that are sound by their weights, and without it
    the score. ``reason`` says which it was.

    A trial that was pruned votes and is not chosen; nor is one that is infeasible, or whose weights were not kept,
    where those of another one were.

    Parameters
    ----------
    study : optuna.Study
        Run with an `AlphaObjective`; with one direction or two.
    artifact_store : optional
        The store that the objective was given, for answers too large for an attribute; None for its default folder.

    Returns
    -------
    ChosenTrial
        The study's trial, equal to ``study.trials[chosen.number]``, with the attribute ``reason``.

    Raises
    ------
    ValueError
        No trial is complete and feasible.

    Examples
    --------
    >>> import optuna, torch
    >>> from wwopt_objectives import AlphaObjective
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90))
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=False), n_trials=2)
    >>> chosen = select(study)
    >>> chosen == study.trials[chosen.number], chosen.reason.rung
    (True, 'weights')
    """
    judged = judge_trials(study, artifact_store=artifact_store, deepcopy=True)
    chosen = None if judged is None else choose_trial(study, judged)
    if chosen is None:
        trials = study.get_trials(deepcopy=False)
        reasons = Counter(map(_why_not, trials))
        common = f" Most common: {reasons.most_common(1)[0][0]}." if reasons else ""
        raise ValueError(
            f"None of the {len(trials)} trials of {study.study_name!r} is complete and feasible, so none can be "
            f"chosen.{common} Run more trials, or change the search space."
        )
    return chosen


def choose_trial(study: Study, judged: JudgedTrials, *, kept: frozenset[int] = frozenset()) -> ChosenTrial | None:
    """Choose among judged trials; None where none may be chosen.

    Parameters
    ----------
    study : optuna.Study
        Theirs.
    judged : JudgedTrials
        On them.
    kept : frozenset of int
        Trials whose weights are kept, whatever the study says.
    """
    if not judged.ranking:
        return None
    gone = trials_without_weights(study)
    with_weights = [
        trial
        for trial in judged.ranking
        if trial.number in kept or (trial.user_attrs.get(ARTIFACTS) and trial.number not in gone)
    ]
    first = judged.ranking[0]
    chosen = with_weights[0] if with_weights else first
    return ChosenTrial.of(chosen, _reason(judged, chosen, first))


def as_choice(study: Study, judged: JudgedTrials, *, kept: frozenset[int]) -> Choice | None:
    """Return the choice so far as trackers take it; None where no trial may be chosen yet."""
    chosen = choose_trial(study, judged, kept=kept)
    if chosen is None:
        return None
    reason = chosen.reason
    numbers = {"score": reason.score, "loss": reason.loss, "agreement": reason.agreement, "meter": reason.meter}
    return Choice(
        study=study.study_name,
        began=min(str(trial.datetime_start) for trial in judged.trials),
        chosen=f"trial-{chosen.number}",
        best=None if reason.best is None else f"trial-{reason.best}",
        reason=str(reason),
        rung=reason.rung,
        trials=len(judged.trials),
        metrics={name: number for name, number in numbers.items() if number is not None},
    )


def _reason(judged: JudgedTrials, chosen: FrozenTrial, first: FrozenTrial) -> Reason:
    verdict, place = judged.verdict, judged.place(chosen)
    agreement = float(verdict.agreement[place])
    voted = not np.isnan(agreement)
    best = judged.best
    number = chosen.number
    if verdict.can_tell:
        why = "it comes first among those that may be chosen"
        if verdict.order[0] == place:
            why = verdict.reason.removeprefix(GROUND).rstrip(".")
        sentence = f"Trial {number} is chosen {BY[verdict.rung]}: {why}. Its agreement is {agreement:.2f}."
    else:
        sentence = f"Trial {number} is chosen {BY[verdict.rung]}. {verdict.reason}"
    if verdict.contradiction is not None:
        sentence += f" The vote contradicts {verdict.contradiction:.0%} of the labels."
    if first.number != number:
        sentence += f" Trial {first.number} would have come first, but its weights were not kept."
    if best is not None and best.number != number:
        sentence += f" The best value is trial {best.number}'s."
    return Reason(
        sentence=sentence,
        rung=verdict.rung,
        can_tell=verdict.can_tell,
        agreement=agreement if voted else None,
        score=float(chosen.user_attrs[SCORE]["score"]),
        loss=chosen.user_attrs.get(TRAIN_LOSS),
        meter=verdict.contradiction,
        excess=verdict.excess,
        runners_up=tuple(trial.number for trial in judged.ranking if trial.number != number)[:RUNNERS_UP],
        no_vote=judged.no_vote,
        best=None if best is None else best.number,
        not_kept=first.number if first.number != number else None,
    )


def _why_not(trial: FrozenTrial) -> str:
    """Say why a trial was pruned, which of its constraints are broken, or its state."""
    reason = trial.user_attrs.get(PRUNED_BY)
    if trial.state == TrialState.COMPLETE and SCORE not in trial.user_attrs:
        return "it has no score, since no AlphaObjective has run it"
    broken = [name for name, value in trial.constraints.items() if value > 0]
    if reason is None and trial.state == TrialState.COMPLETE and broken:
        return f"infeasible by {', '.join(broken)}"
    return str(reason or trial.state.name.lower())
