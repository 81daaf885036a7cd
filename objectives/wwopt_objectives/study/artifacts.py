"""Weights and analysis of the chosen trial, kept in an Optuna artifact store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.artifacts import download_artifact
from safetensors.torch import load_file

from wwopt.analysis import Analysis
from wwopt_objectives.study.attributes import ARTIFACTS
from wwopt_objectives.study.kept_weights import FILES, default_store, trials_without_weights
from wwopt_objectives.study.select_trial import select

if TYPE_CHECKING:
    import optuna
    import torch
    from optuna.artifacts._protocol import ArtifactStore

__all__ = ["Best", "load_best"]


@dataclass(frozen=True)
class Best:
    """A trial, the chosen one as a rule, with what was kept of it.

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


def load_best(
    study: optuna.Study,
    *,
    trial: optuna.trial.FrozenTrial | None = None,
    artifact_store: ArtifactStore | None = None,
) -> Best:
    """Load the weights and the analysis of the trial that `select` chooses.

    Parameters
    ----------
    study : optuna.Study
        A study that was run with `AlphaObjective`.
    trial : optuna.trial.FrozenTrial, optional
        One of its trials, such as ``study.best_trial``; None for the one that `select` chooses.
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
    >>> store = optuna.artifacts.FileSystemArtifactStore(tempfile.mkdtemp())
    >>> def train(trial):
    ...     torch.manual_seed(trial.number)
    ...     return torch.nn.Linear(100, trial.suggest_int("width", 60, 90))
    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(AlphaObjective(train, artifact_store=store), n_trials=3)
    >>> sorted(load_best(study, artifact_store=store).state_dict)
    ['bias', 'weight']
    """
    trial = trial or select(study, artifact_store=artifact_store)
    ids = trial.user_attrs.get(ARTIFACTS)
    if ids is None or trial.number in trials_without_weights(study):
        raise ValueError(
            f"No weights were kept of trial {trial.number}: it was not run by an AlphaObjective that keeps them, "
            "or better trials took its place; `keep_n=None` keeps all."
        )
    store = artifact_store if artifact_store is not None else default_store(study)
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / name for kind, name in FILES.items()}
        for kind, path in paths.items():
            download_artifact(artifact_store=store, file_path=str(path), artifact_id=ids[kind])
        return Best(trial, load_file(paths["weights"]), Analysis.load(paths["analysis"]))
