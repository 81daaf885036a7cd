"""Snapshots of a trial's weights: copied while it trains, uploaded where `select` may choose the trial."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from optuna.artifacts import upload_artifact
from safetensors.torch import save_file

from wwopt.weights import is_module, is_tensor, read_file, weights_in
from wwopt_objectives.study.artifacts import FILES, default_store
from wwopt_objectives.study.attributes import ARTIFACTS
from wwopt_objectives.study.select_trial import is_feasible, may_be_chosen

if TYPE_CHECKING:
    import optuna
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt.analysis import Analysis
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
    """

    def __init__(self, trial: optuna.Trial, artifact_store: ArtifactStore | Literal[False] | None) -> None:
        self._trial = trial
        self._artifact_store = None if artifact_store is False else artifact_store
        self._is_on = artifact_store is not False
        self._tensors: dict[str, torch.Tensor] | None = None

    def take(self, model: object, evaluation: Evaluation) -> None:
        """Copy the weights of a model, which the training goes on to change, in the place of the copy before."""
        self._tensors = None
        if self._is_on and self._may_be_chosen(evaluation):
            with self._errors_as_warnings():
                self._tensors = copy_tensors(model)

    def upload(self, evaluation: Evaluation) -> None:
        """Upload the snapshot and its analysis, and keep their ids on the trial."""
        if self._tensors is None or not is_feasible(self._trial.constraints):
            return
        if not self._may_be_chosen(evaluation):  # another trial finished meanwhile
            return
        with self._errors_as_warnings():
            self._trial.set_user_attr(ARTIFACTS, self._upload(self._tensors, evaluation.analysis))

    def _may_be_chosen(self, evaluation: Evaluation) -> bool:
        return may_be_chosen(self._trial.study, evaluation.score, evaluation.loss)

    def _upload(self, tensors: dict[str, torch.Tensor], analysis: Analysis) -> dict[str, str]:
        store = self._artifact_store if self._artifact_store is not None else default_store(self._trial.study)
        with tempfile.TemporaryDirectory() as folder:
            paths = {kind: Path(folder) / name for kind, name in FILES.items()}
            save_file(tensors, paths["weights"])
            analysis.save(paths["analysis"])
            return {
                kind: upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=self._trial)
                for kind, path in paths.items()
            }

    @contextmanager
    def _errors_as_warnings(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            logger.warning("The weights of trial %d could not be kept.", self._trial.number, exc_info=True)


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
