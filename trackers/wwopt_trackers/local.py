"""`LocalTracker`: the journal alone, with numbers in SQLite and tables and spectra as files beside it."""

from __future__ import annotations

import os
from typing import Any

from wwopt_trackers.recording.tracker import JournalTracker

__all__ = ["LocalTracker"]


class LocalTracker(JournalTracker):
    """Log to a local folder, with no server and no account.

    Parameters
    ----------
    path : path
        Folder for the journals; it is created.
    run_name : str, optional
        Name of the study, or of the run.

    Examples
    --------
    >>> import numpy as np, tempfile, wwopt
    >>> from wwopt_trackers import LocalTracker
    >>> analysis = wwopt.analyze({"fc.weight": np.eye(60)})
    >>> with LocalTracker(tempfile.mkdtemp()) as tracker:
    ...     tracker.log(analysis, step=0)
    """

    def __init__(self, path: str | os.PathLike[str], *, run_name: str | None = None) -> None:
        super().__init__(path, run_name, delivers=False)

    @property
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker."""
        return {"kind": "local", "name": self._run_name or "study"}
