"""Which trials' weights are kept, and how: those of the look that counts, where the trial may yet be chosen."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from optuna.artifacts import upload_artifact
from optuna.trial import TrialState
from safetensors.torch import save_file

from wwopt.weights import is_module, is_tensor, read_file, weights_in
from wwopt_objectives.trial.artifacts import ATTRIBUTE, FILES, default_store
from wwopt_objectives.trial.selection import feasible, numbers_of

if TYPE_CHECKING:
    import optuna
    from optuna.artifacts._protocol import ArtifactStore

    from wwopt_objectives.trial.recorder import Look

__all__ = ["Keeper", "may_be_chosen", "tensors_of"]

logger = logging.getLogger("wwopt")

NOT_KEPT = "The weights of trial %d could not be kept."


class Keeper:
    """Keep a trial's weights: a snapshot while it trains, uploaded once it is complete."""

    def __init__(self, trial: optuna.Trial, store: ArtifactStore | Literal[False] | None) -> None:
        self._trial = trial
        self._store = store
        self._tensors: dict[str, torch.Tensor] | None = None

    def snapshot(self, look: Look) -> None:
        """Copy the weights of a look, which the training goes on to change, in the place of the copy before."""
        self._tensors = None
        if self._store is not False and may_be_chosen(self._trial.study, look.score, look.checkpoint.loss):
            try:
                self._tensors = tensors_of(look.checkpoint.model)
            except Exception:  # nor does a model that cannot be copied cost its trial
                logger.warning(NOT_KEPT, self._trial.number, exc_info=True)

    def upload(self, look: Look) -> None:
        """Upload the snapshot and the look's analysis, and note on the trial under which ids they lie."""
        study = self._trial.study
        if self._store is False or self._tensors is None or not feasible(self._trial.constraints):
            return
        if not may_be_chosen(study, look.score, look.checkpoint.loss):  # another trial finished meanwhile
            return
        try:
            store = self._store if self._store is not None else default_store(study)
            self._trial.set_user_attr(ATTRIBUTE, self._upload(look, store))
        except Exception:  # a full disk must not cost a finished trial
            logger.warning(NOT_KEPT, self._trial.number, exc_info=True)

    def _upload(self, look: Look, store: ArtifactStore) -> dict[str, str]:
        assert self._tensors is not None  # noqa: S101  (`upload` returns where it is)
        with tempfile.TemporaryDirectory() as folder:
            paths = {kind: Path(folder) / name for kind, name in FILES.items()}
            save_file(self._tensors, paths["weights"])
            look.analysis.save(paths["analysis"])
            return {
                kind: upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=self._trial)
                for kind, path in paths.items()
            }


def may_be_chosen(study: optuna.Study, score: float, loss: float | None) -> bool:
    """Whether no finished and feasible trial is better by score and not worse by loss, or the other way round.

    What `select` chooses is never worse than another trial in both, whatever the weight of the loss.
    """
    mine = (score, math.inf if loss is None or not math.isfinite(loss) else loss)
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [numbers_of(trial) for trial in finished if feasible(trial.constraints)]
    return not any(
        other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in others if other is not None
    )


def tensors_of(model: Any) -> dict[str, torch.Tensor]:
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
