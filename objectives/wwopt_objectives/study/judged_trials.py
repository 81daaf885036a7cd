"""What the trials of a study say about each other: their vote on the inputs, the loss and the score."""

from __future__ import annotations

import copy
import io
import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import TrialState

from wwopt.consensus import choose
from wwopt_objectives.study.attributes import ANSWERS, INPUTS, PRUNED_BY, SCORE, TRAIN_LOSS
from wwopt_objectives.study.kept_answers import KeptAnswers, unpack
from wwopt_objectives.study.kept_weights import find_store

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna import Study
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.trial import FrozenTrial

    from wwopt.consensus import Verdict

__all__ = ["JudgedTrials", "is_feasible", "judge_trials"]

logger = logging.getLogger("wwopt")

LAST = "ww_unusable"  # the last thing that is left of a trial: its record is complete then
OWN = "ww_"  # of the constraints that say whether a network is sound; others are the user's, and take no vote away


@dataclass(frozen=True)
class JudgedTrials:
    """Trials of a study, judged together.

    Attributes
    ----------
    trials : tuple of FrozenTrial
        Those that were judged: complete or pruned, with a score.
    verdict : wwopt.consensus.Verdict
        On them, in this order.
    ranking : tuple of FrozenTrial
        Those that may be chosen, complete and feasible, the best first.
    no_vote : dict of int to str
        Who had no vote and why, by the number of the trial; empty where nobody was asked.
    faults : dict of int to str
        Why there are no answers of a trial that can be compared.
    """

    trials: tuple[FrozenTrial, ...]
    verdict: Verdict
    ranking: tuple[FrozenTrial, ...]
    no_vote: dict[int, str]
    faults: dict[int, str]

    def place(self, trial: FrozenTrial) -> int:
        """Place of a trial among those that were judged."""
        return next(place for place, other in enumerate(self.trials) if other.number == trial.number)

    @property
    def best(self) -> FrozenTrial | None:
        """The trial of the best value, as Optuna says it; None where there are several objectives, or no such trial."""
        single = [trial for trial in self.ranking if trial.values is not None and len(trial.values) == 1]
        return min(single, key=lambda trial: trial.values[0]) if single else None


def judge_trials(
    study: Study,
    *,
    artifact_store: ArtifactStore | None = None,
    ending: FrozenTrial | None = None,
    deepcopy: bool = False,
) -> JudgedTrials | None:
    """Judge the finished trials of a study; None where none was measured.

    Parameters
    ----------
    study : optuna.Study
        Run with an `AlphaObjective`.
    artifact_store : optional
        Where answers lie that are too large for an attribute; None: the study's folder.
    ending : FrozenTrial, optional
        A trial that is about to end, with the attributes, the state and the values that it will have. Those of other
        workers that are about to end count too then: of two that end at once, one sees both.
    deepcopy : bool
        Whether the trials may be handed to others.
    """
    states = (TrialState.COMPLETE, TrialState.PRUNED, *([TrialState.RUNNING] if ending else []))
    others = [trial for trial in study.get_trials(deepcopy=deepcopy, states=states) if not _is(trial, ending)]
    ended = [_as_ended(trial, objectives=len(study.directions)) for trial in others]
    all_ended = [trial for trial in (*ended, ending) if trial is not None]
    trials = [trial for trial in all_ended if trial.user_attrs.get(SCORE)]
    if not trials:
        return None
    store = find_store(study, artifact_store)
    read = [_read(trial, store) for trial in trials]
    asked = _of_one_question(read, trials)
    known = [one if isinstance(one, KeptAnswers) else None for one in asked]
    example = next((one for one in known if one is not None), None)
    sound = [is_feasible({key: value for key, value in t.constraints.items() if key.startswith(OWN)}) for t in trials]
    verdict = choose(
        [None if one is None else one.answers for one in known] if example else None,
        sound=sound,
        scores=[float(trial.user_attrs[SCORE]["score"]) for trial in trials],
        losses=[_loss(trial) for trial in trials],
        sketches=[None if one is None else one.sketch for one in known] if example else None,
        kind=example.kind if example else "auto",
        labels=_labels(study, example) if example else None,
    )
    ranking = [trials[place] for place in verdict.order]
    silent = {trials[place].number: why for place, why in verdict.no_vote.items()}
    faults = {trial.number: one for trial, one in zip(trials, asked, strict=True) if isinstance(one, str)}
    unmeasured = {trial.number: "it was not measured" for trial in all_ended if not trial.user_attrs.get(SCORE)}
    return JudgedTrials(
        tuple(trials),
        verdict,
        tuple(trial for trial in ranking if trial.state == TrialState.COMPLETE and is_feasible(trial.constraints)),
        {**unmeasured, **silent, **{key: why for key, why in faults.items() if key in silent}} if example else {},
        faults,
    )


def is_feasible(constraints: Mapping[str, float]) -> bool:
    """Whether all constraints of a trial are zero or less."""
    return all(value <= 0 for value in constraints.values())


def _is(trial: FrozenTrial, other: FrozenTrial | None) -> bool:
    return other is not None and trial.number == other.number


def _as_ended(trial: FrozenTrial, *, objectives: int) -> FrozenTrial | None:
    """Return a trial as it ended, or as it is about to; None where it goes on."""
    if trial.state != TrialState.RUNNING:
        return trial
    score = trial.user_attrs.get(SCORE)
    if not score or LAST not in trial.constraints:  # its record is not complete
        return None
    ending = copy.copy(trial)
    pruned = bool(trial.user_attrs.get(PRUNED_BY))
    ending.state = TrialState.PRUNED if pruned else TrialState.COMPLETE
    ending.values = None if pruned or objectives > 1 else [float(score["score"])]
    return ending


def _loss(trial: FrozenTrial) -> float:
    loss = trial.user_attrs.get(TRAIN_LOSS)
    return math.nan if loss is None else float(loss)


def _read(trial: FrozenTrial, store: ArtifactStore | None) -> KeptAnswers | str:
    """Answers that were kept of a trial, or why there are none."""
    about = trial.user_attrs.get(ANSWERS)
    if about is None:
        return "it was not asked"
    if "fault" in about:
        return str(about["fault"])
    try:
        answers = unpack(about["answers"]) if "answers" in about else _download(store, about["artifact"])
        return KeptAnswers(about["inputs"], about["outputs"], answers, unpack(about["sketch"]))
    except Exception as error:  # noqa: BLE001  (a store may raise anything)
        return f"its answers cannot be read: {type(error).__name__}: {error}"


def _download(store: ArtifactStore | None, artifact: str) -> NDArray[Any]:
    if store is None:
        raise ValueError("they lie in an artifact store; give it as `artifact_store`")
    with store.open_reader(artifact) as reader:
        array: NDArray[Any] = np.load(io.BytesIO(reader.read()), allow_pickle=False)
    return array


def _of_one_question(read: list[KeptAnswers | str], trials: list[FrozenTrial]) -> list[KeptAnswers | str]:
    """Leave the answers to the question that most trials were asked, of several equally many the latest."""
    spaces = [one.space for one in read if isinstance(one, KeptAnswers)]
    if not spaces:
        return read
    counts, last = Counter(spaces), {space: place for place, space in enumerate(spaces)}
    most = max(counts, key=lambda space: (counts[space], last[space]))
    example = next(
        trial.number
        for trial, one in zip(trials, read, strict=True)
        if isinstance(one, KeptAnswers) and one.space == most
    )

    def why(one: KeptAnswers) -> str:
        if one.inputs != most[0]:
            return f"it answered other inputs than trial {example} and most others did"
        return f"its answers have another shape than those of trial {example} and most others"

    return [one if isinstance(one, str) or one.space == most else why(one) for one in read]


def _labels(study: Study, example: KeptAnswers) -> NDArray[Any] | None:
    """Labels of the inputs, where they were asked for, and there is one for each answer."""
    about = study.user_attrs.get(f"{INPUTS}:{example.inputs}")
    labels = None if about is None or example.kind != "classes" else unpack(about["labels"])
    return labels if labels is not None and labels.shape == example.answers.shape else None
