"""Warning of a study whose analysed weights do not change: what trains is not what is judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from optuna.trial import TrialState

from wwopt_objectives.study.attributes import SUMMARY
from wwopt_objectives.study.judged_trials import is_feasible

if TYPE_CHECKING:
    import optuna

    from wwopt.analysis import Analysis
    from wwopt_objectives.trial.evaluation import Evaluation

__all__ = ["warn_of_equal_trials", "warn_of_unchanged_weights"]

logger = logging.getLogger("wwopt")

MIN_TRIALS = 3  # finished trials that must be the same
ADVICE = (
    "What trains is not analysed: it is too small, left out, or beside layers that are frozen. Name it by `include` "
    "among the `analyze_options`, with a smaller `min_evals` where needed; merge adapters before the evaluation."
)

_warned: WeakSet[optuna.Study] = WeakSet()


def warn_of_unchanged_weights(trial: optuna.Trial, before: Evaluation, now: Evaluation) -> None:
    """Warn, once for a study, where a training changed no analysed weight between two evaluations."""
    if _same_spectra(before.analysis, now.analysis):  # the score may move with the head, whose scales it knows
        _warn(
            trial.study,
            f"No analysed layer changed from step {before.step} to {now.step} of trial {trial.number}, so the score "
            f"says nothing about its training. {ADVICE}",
        )


def warn_of_equal_trials(trial: optuna.Trial, analysis: Analysis, summary: Mapping[str, Any]) -> None:
    """Warn, once for a study, where all sound trials have the same numbers, and not the same parameters."""
    if trial.study in _warned or not _is_sound(analysis):
        return
    finished = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [other for other in finished if is_feasible(other.constraints)]
    if len(others) + 1 < MIN_TRIALS or any(other.user_attrs.get(SUMMARY) != summary for other in others):
        return
    if any(other.params != trial.params for other in others):
        _warn(
            trial.study,
            f"All {len(others) + 1} finished trials of {trial.study.study_name!r} have the same analysed weights, and "
            f"other parameters, so the score cannot choose among them. {ADVICE}",
        )


def _is_sound(analysis: Analysis) -> bool:
    return not any(finding.severity == "broken" for finding in analysis.findings)


def _same_spectra(before: Analysis, now: Analysis) -> bool:
    """Whether the spectra of two evaluations are the same bit for bit; those of broken layers say nothing."""
    return _is_sound(now) and all(np.array_equal(now.spectra[name], evals) for name, evals in before.spectra.items())


def _warn(study: optuna.Study, message: str) -> None:
    if study not in _warned:
        _warned.add(study)
        logger.warning(message)
