"""`WandbTracker`: a study is a group in Weights & Biases, and each of its trials a run."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from wwopt_trackers.backends.wandb.credentials import key_is_set
from wwopt_trackers.recording.tracker import JournalTracker, trial_name

__all__ = ["WandbTracker"]


class WandbTracker(JournalTracker):
    """Log to Weights & Biases: the study as a group, each trial a run with its true final state.

    Parameters
    ----------
    project : str
        Name of the project.
    group : str, optional
        Group of the runs. None: the study's name.
    mode : {"online", "offline"}, optional
        None: ``WANDB_MODE``, else online where a key is set and offline where none is.
    dir : path, optional
        Where W&B keeps its files. None: ``WANDB_DIR``, else the working directory.
    run_name : str, optional
        Name of the run for what is logged directly.
    journal : path
        Folder for the journals, on a local disk.
    pictures : int
        Layers, the worst first, whose spectra are drawn when a run is complete, beside the figures of the whole
        network. 0: no figures.

    Raises
    ------
    ImportError
        wandb is not installed.

    Examples
    --------
    >>> with WandbTracker(project="digits") as tracker:  # doctest: +SKIP
    ...     tracker.log(wwopt.analyze(model), step=epoch)
    """

    def __init__(
        self,
        project: str,
        *,
        group: str | None = None,
        mode: Literal["online", "offline"] | None = None,
        dir: str | os.PathLike[str] | None = None,  # noqa: A002  (W&B's name)
        run_name: str | None = None,
        journal: str | os.PathLike[str] = "wwopt-journal",
        pictures: int = 3,
    ) -> None:
        if find_spec("wandb") is None:
            raise ImportError("Weights & Biases is not installed. Run `pip install 'wwopt[wandb]'`.")
        if mode not in (None, "online", "offline"):
            raise ValueError(f"`mode` must be 'online' or 'offline', got {mode!r}.")
        super().__init__(journal, run_name, delivers=True, pictures=pictures)
        self._project, self._group = project, group
        self._mode = mode or _default_mode()
        self._dir = str(Path(dir or os.environ.get("WANDB_DIR", ".")).absolute())

    @property
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker, as the journal keeps them."""
        return {
            "kind": "wandb",
            "name": self._run_name or self._group or self._project,
            "project": self._project,
            "group": self._group or self._run_name,
            "mode": self._mode,
            "dir": self._dir,
        }

    def promote(self, best: object, name: str, alias: str, *, weights: str | os.PathLike[str] | None = None) -> str:
        """Log a trial's model under an alias, and link it into W&B's model registry.

        Parameters
        ----------
        best : str or trial
            A run's id, the name of a trial's run, or a trial of Optuna.
        name, alias : str
            Of the model, and of the version; W&B reserves ``latest`` and ``v1``.
        weights : path, optional
            A file that becomes the model's.

        Returns
        -------
        str
            The version in the registry; ``"queued"`` where W&B's server is not to be reached. Then the model lies in an
            offline run with its alias, and ``wwopt sync`` makes the link once the runs are there (``wandb sync``).

        Raises
        ------
        ValueError
            There is no such run, it is not complete, or the alias is reserved.
        """
        from wwopt_trackers.backends.wandb.registry import promote  # noqa: PLC0415  (loads wandb)

        self.flush()
        return promote(self.about, self._folder, trial_name(best), name=name, alias=alias, weights=weights)


def _default_mode() -> str:
    """Offline where no key is set, so that nothing waits for somebody to type one."""
    mode = os.environ.get("WANDB_MODE")
    return mode if mode in ("online", "offline") else "online" if key_is_set() else "offline"
