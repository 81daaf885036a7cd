"""Snapshots of a trial's weights: copied while it trains, uploaded where it is among the best so far."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from optuna.artifacts import upload_artifact
from optuna.trial import TrialState
from safetensors.torch import save_file

from wwopt.weights import is_module, is_tensor, read_file, weights_in
from wwopt_objectives.study.attributes import ARTIFACTS
from wwopt_objectives.study.judged_trials import is_feasible
from wwopt_objectives.study.kept_answers import MAX_CHARACTERS, KeptAnswers
from wwopt_objectives.study.kept_weights import FILES, default_store, delete_weights, trials_without_weights

if TYPE_CHECKING:
    import optuna
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.trial import FrozenTrial

    from wwopt_objectives.study.judged_trials import JudgedTrials
    from wwopt_objectives.trial.evaluation import Evaluation

__all__ = ["SnapshotStore", "copy_tensors"]

logger = logging.getLogger("wwopt")


class SnapshotStore:
    """Keep the weights of a trial: one snapshot while it trains, uploaded once it is complete.

    No failure here costs the trial: a model that cannot be copied, or a full disk, is a warning.

    Parameters
    ----------
    trial : optuna.Trial
        Running.
    artifact_store : optional
        Where the weights are uploaded; None: the default folder; False: nowhere, and nothing is copied.
    keep_n : int or None
        Trials whose weights are kept, the best so far; None for all.
    """

    def __init__(
        self, trial: optuna.Trial, artifact_store: ArtifactStore | Literal[False] | None, keep_n: int | None = None
    ) -> None:
        self._trial = trial
        self._artifact_store = artifact_store
        self._keep_n = keep_n
        self._tensors: dict[str, torch.Tensor] | None = None

    @property
    def has_weights(self) -> bool:
        """Whether there is a snapshot that could be kept."""
        return self._tensors is not None

    @property
    def store(self) -> ArtifactStore | None:
        """The store that was given; None for the study's folder, and where nothing is kept."""
        return self._artifact_store or None

    def take(self, model: object) -> None:
        """Copy the weights of a model, which the training goes on to change, in the place of the copy before."""
        self._tensors = None
        if self._artifact_store is not False:
            with self._errors_as_warnings():
                self._tensors = copy_tensors(model)

    def keep(self, evaluation: Evaluation, judged: JudgedTrials | None) -> bool:
        """Upload the snapshot where its trial is among the best so far, and delete what these have displaced.

        Without a judgement on the trials it is uploaded, and nothing is deleted.

        Returns
        -------
        bool
            Whether the weights are kept.
        """
        if self._tensors is None or not is_feasible(self._trial.constraints):
            return False
        displaced: list[FrozenTrial] = []
        if judged is not None:
            ranked = self._with_weights(judged)
            keep = _to_keep(ranked, judged.best, self._trial.number, self._keep_n)
            if self._trial.number not in keep:
                return False
            displaced = [trial for trial in ranked if trial.number not in keep]
        is_kept = False
        with self._errors_as_warnings():
            store = self._store()
            self._trial.set_user_attr(ARTIFACTS, self._upload(store, self._tensors, evaluation))
            is_kept = True
            delete_weights(self._trial.study, store, displaced)
        return is_kept

    def _with_weights(self, judged: JudgedTrials) -> list[FrozenTrial]:
        """Trials whose weights are there, this one among them, the best first; those of running trials are not ours."""
        study, gone = self._trial.study, trials_without_weights(self._trial.study)
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        there = {trial.number for trial in trials if trial.user_attrs.get(ARTIFACTS)} - gone
        return [trial for trial in judged.ranking if trial.number in {*there, self._trial.number}]

    def answers_attribute(self, answers: KeptAnswers | str) -> dict[str, object]:
        """Return what the trial keeps of its answers; those too large for an attribute are uploaded."""
        if isinstance(answers, str):
            return {"fault": answers}
        attribute = answers.attribute()
        if len(json.dumps(attribute)) <= MAX_CHARACTERS:
            return attribute
        if self._artifact_store is False:
            return {"fault": "its answers are too large for an attribute, and there is no `artifact_store`"}
        artifact = None
        with self._errors_as_warnings("answers"), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "answers.npy"
            np.save(path, answers.answers, allow_pickle=False)
            artifact = upload_artifact(artifact_store=self._store(), file_path=str(path), study_or_trial=self._trial)
        return {"fault": "its answers could not be kept"} if artifact is None else answers.attribute(artifact)

    def _store(self) -> ArtifactStore:
        return default_store(self._trial.study) if not self._artifact_store else self._artifact_store

    def _upload(self, store: ArtifactStore, tensors: dict[str, torch.Tensor], evaluation: Evaluation) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            paths = {kind: Path(folder) / name for kind, name in FILES.items()}
            save_file(tensors, paths["weights"])
            evaluation.analysis.save(paths["analysis"])
            return {
                kind: upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=self._trial)
                for kind, path in paths.items()
            }

    @contextmanager
    def _errors_as_warnings(self, what: str = "weights") -> Iterator[None]:
        try:
            yield
        except Exception:
            logger.warning("The %s of trial %d could not be kept.", what, self._trial.number, exc_info=True)


def _to_keep(ranked: list[FrozenTrial], best: FrozenTrial | None, me: int, keep_n: int | None) -> set[int]:
    """Trials whose weights are kept: the first, among them that of the best value.

    And the first of those that have ended: should this trial's process die before it has, a chosen one is there.
    """
    numbers = [trial.number for trial in ranked]
    keep = numbers[:keep_n]
    if best is not None and best.number not in keep and best.number in numbers and len(keep) > 1:
        keep[-1] = best.number
    return {*keep, *[number for number in numbers if number != me][:1]}


def copy_tensors(model: Any) -> dict[str, torch.Tensor]:
    """Copy a model's tensors as safetensors wants them: contiguous, on the CPU, none sharing memory with another.

    Parameters
    ----------
    model : torch.nn.Module, mapping or path
        What `wwopt.analyze` takes; of a path the file of a checkpoint. Entries that are no tensors are left out.
    """
    if isinstance(model, (str, os.PathLike)):
        return {tensor.name: torch.from_numpy(tensor.read().copy()) for tensor in read_file(Path(model))}
    content = weights_in(model, is_tensor, is_module) if isinstance(model, Mapping) else model
    tensors = content.state_dict() if is_module(content) else content
    return {
        str(name): torch.as_tensor(value).detach().to("cpu", copy=True).contiguous()
        for name, value in tensors.items()
        if is_tensor(value)
    }
