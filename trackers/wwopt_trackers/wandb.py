"""Weights & Biases: a study is a group, each of its trials a run."""

from __future__ import annotations

import netrc
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from wwopt_trackers.tracker import JournalTracker

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
        Layers, the worst first, of which a complete run gets a picture of the spectrum beside those of the whole
        network. 0: no pictures.

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


def _default_mode() -> str:
    """Offline where no key is set, so that nothing waits for somebody to type one."""
    mode = os.environ.get("WANDB_MODE")
    return mode if mode in ("online", "offline") else "online" if _key_is_set() else "offline"


def _key_is_set() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
