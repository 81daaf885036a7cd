"""Weights and analysis of the best trial, kept in an Optuna artifact store."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.artifacts import FileSystemArtifactStore, download_artifact
from optuna.trial import TrialState
from safetensors.torch import load_file

from wwopt.analysis import Analysis
from wwopt_objectives.study.attributes import ARTIFACT_FOLDER, ARTIFACTS, PRUNED_BY
from wwopt_objectives.study.select_trial import select

if TYPE_CHECKING:
    import optuna
    import torch
    from optuna.artifacts._protocol import ArtifactStore

__all__ = ["FILES", "Best", "default_store", "load_best"]

DEFAULT_FOLDER = "wwopt-artifacts"
FILES = {"weights": "weights.safetensors", "analysis": "analysis.npz"}


@dataclass(frozen=True)
class Best:
    """The best trial with what was kept of it.

    Attributes
    ----------
    trial : optuna.trial.FrozenTrial
        The trial.
    state_dict : dict of str to torch.Tensor
        The weights, ready for ``model.load_state_dict``.
    analysis : wwopt.Analysis
        The analysis of these weights.
    """

    trial: optuna.trial.FrozenTrial
    state_dict: dict[str, torch.Tensor]
    analysis: Analysis


def default_store(study: optuna.Study) -> FileSystemArtifactStore:
    """Open the store that is used when none is given: ``./wwopt-artifacts``, or the folder the study already has."""
    folder = Path(study.user_attrs.get(ARTIFACT_FOLDER) or Path(DEFAULT_FOLDER).absolute())
    folder.mkdir(parents=True, exist_ok=True)
    if ARTIFACT_FOLDER not in study.user_attrs:
        study.set_user_attr(ARTIFACT_FOLDER, str(folder))
    return FileSystemArtifactStore(folder)


def load_best(
    study: optuna.Study,
    *,
    trial: optuna.trial.FrozenTrial | None = None,
    artifact_store: ArtifactStore | None = None,
) -> Best:
    """Load the weights and the analysis of the best trial; with two directions, of the one that `select` chooses.

    Parameters
    ----------
    study : optuna.Study
        A study that was run with `AlphaObjective`.
    trial : optuna.trial.FrozenTrial, optional
        One of its trials, such as the one that `select` chose; None for the best.
    artifact_store : optional
        The store that the objective was given; None for its default folder.

    Raises
    ------
    ValueError
        No trial is complete and feasible, or no weights were kept of it.

    Examples
    --------
    >>> import optuna, tempfile, torch
    >>> from wwopt_objectives import AlphaObjective
    >>> store = FileSystemArtifactStore(tempfile.mkdtemp())
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90))
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=store), n_trials=3)
    >>> sorted(load_best(study, artifact_store=store).state_dict)
    ['bias', 'weight']
    """
    trial = trial or _best_trial(study)
    ids = trial.user_attrs.get(ARTIFACTS)
    if ids is None:
        raise ValueError(
            f"No weights were kept of trial {trial.number}: it was not run by an AlphaObjective that keeps them, "
            "or another trial was already better when it ended."
        )
    store = artifact_store if artifact_store is not None else default_store(study)
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / name for kind, name in FILES.items()}
        for kind, path in paths.items():
            download_artifact(artifact_store=store, file_path=str(path), artifact_id=ids[kind])
        return Best(trial, load_file(paths["weights"]), Analysis.load(paths["analysis"]))


def _best_trial(study: optuna.Study) -> optuna.trial.FrozenTrial:
    if len(study.directions) > 1:
        return select(study)
    try:
        return study.best_trial
    except ValueError as error:
        reasons = Counter(map(_why_not_best, study.trials))
        common = f" Most common: {reasons.most_common(1)[0][0]}." if reasons else ""
        raise ValueError(
            f"None of the {len(study.trials)} trials of {study.study_name!r} is complete and feasible, so none is the "
            f"best.{common} Run more trials, or change the search space."
        ) from error


def _why_not_best(trial: optuna.trial.FrozenTrial) -> str:
    """Say why a trial was pruned, which of its constraints are broken, or its state."""
    reason = trial.user_attrs.get(PRUNED_BY)
    broken = [name for name, value in trial.constraints.items() if value > 0]
    if reason is None and trial.state == TrialState.COMPLETE and broken:
        return f"infeasible by {', '.join(broken)}"
    return str(reason or trial.state.name.lower())
