"""Weights of trials in an artifact store: which are there, and which are deleted since better ones came."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from wwopt_objectives.study.attributes import ARTIFACT_FOLDER, ARTIFACTS

if TYPE_CHECKING:
    import optuna
    from optuna.artifacts._protocol import ArtifactStore
    from optuna.trial import FrozenTrial

__all__ = ["FILES", "default_store", "delete_weights", "find_store", "trials_without_weights"]

logger = logging.getLogger("wwopt")

DEFAULT_FOLDER = "wwopt-artifacts"
FILES = {"weights": "weights.safetensors", "analysis": "analysis.npz"}
DELETED = "ww_deleted:"  # and a trial's number: a system attribute of the study, since a finished trial takes none


def default_store(study: optuna.Study) -> FileSystemArtifactStore:
    """Open the store that is used when none is given: ``./wwopt-artifacts``, or the folder the study already has."""
    folder = Path(study.user_attrs.get(ARTIFACT_FOLDER) or Path(DEFAULT_FOLDER).absolute())
    folder.mkdir(parents=True, exist_ok=True)
    if ARTIFACT_FOLDER not in study.user_attrs:
        study.set_user_attr(ARTIFACT_FOLDER, str(folder))
    return FileSystemArtifactStore(folder)


def find_store(study: optuna.Study, artifact_store: ArtifactStore | None) -> ArtifactStore | None:
    """Return the store that was given, or the one of the study's folder; None where there is neither."""
    if artifact_store is not None or ARTIFACT_FOLDER not in study.user_attrs:
        return artifact_store
    return FileSystemArtifactStore(Path(study.user_attrs[ARTIFACT_FOLDER]))


def trials_without_weights(study: optuna.Study) -> set[int]:
    """Return the numbers of the trials whose weights were kept first and deleted later."""
    attributes = study._storage.get_study_system_attrs(study._study_id)  # noqa: SLF001  (Optuna 5 has no other way)
    return {int(key.removeprefix(DELETED)) for key, value in attributes.items() if value and key.startswith(DELETED)}


def delete_weights(study: optuna.Study, store: ArtifactStore, trials: Iterable[FrozenTrial]) -> None:
    """Delete the weights of trials from a store.

    The study says so first, under a key for each trial: several workers may do the same at once, and none reads of a
    file that is about to go. What the store does not delete counts as kept, with a warning.
    """
    for trial in trials:
        key = f"{DELETED}{trial.number}"
        study._storage.set_study_system_attr(study._study_id, key, True)  # noqa: SLF001
        try:
            for artifact in trial.user_attrs[ARTIFACTS].values():
                _remove(store, artifact)
        except Exception:
            study._storage.set_study_system_attr(study._study_id, key, False)  # noqa: SLF001
            logger.warning(
                "The artifact store does not delete the weights of trial %d: give `keep_n=None` to keep all.",
                trial.number,
                exc_info=True,
            )
            return


def _remove(store: ArtifactStore, artifact: str) -> None:
    with suppress(ArtifactNotFound):  # another worker was faster
        store.remove(artifact)
