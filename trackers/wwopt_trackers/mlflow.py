"""`MLflowTracker`: a study is a run in MLflow, and its trials are nested in it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from wwopt_trackers.backends.mlflow.uri import absolute_uri, artifact_uri, default_uri
from wwopt_trackers.recording.tracker import JournalTracker, trial_name

__all__ = ["MLflowTracker"]


class MLflowTracker(JournalTracker):
    """Log to MLflow: the study as a run, its trials nested in it, each with its true final state.

    The training does not wait for MLflow: numbers go to a journal on the local disk, and another process delivers
    them. While MLflow cannot be reached they stay in the journal; ``wwopt sync`` delivers what is left there.

    Parameters
    ----------
    experiment : str, optional
        Name of the experiment; it is created. None: that of the run which is open, else MLflow's default.
    uri : str, optional
        Tracking URI. None: MLflow's own, by ``MLFLOW_TRACKING_URI`` or ``mlflow.set_tracking_uri``.
    run_name : str, optional
        Name of the study's run; a run that this name was used for before is continued. None: the study's name for
        trials, and a fresh run for what is logged directly.
    artifacts : str, optional
        Where a new experiment keeps its files: a path or a URI. None: where the store keeps them.
    journal : path
        Folder for the journals, on a local disk.
    offline : bool
        Only write the journal; ``wwopt sync`` delivers it later, or from a machine that reaches the server.
    pictures : int
        Layers, the worst first, whose spectra are drawn when a run is complete, beside the figures of the whole
        network. 0: no figures.

    Raises
    ------
    ImportError
        MLflow is not installed.

    Notes
    -----
    A run of that experiment that is open in the calling thread (``mlflow.start_run``) is joined: it becomes the
    study's run, and stays open.

    Examples
    --------
    >>> with MLflowTracker(experiment="digits") as tracker:  # doctest: +SKIP
    ...     tracker.log(wwopt.analyze(model), step=epoch)
    """

    def __init__(
        self,
        experiment: str | None = None,
        *,
        uri: str | None = None,
        run_name: str | None = None,
        artifacts: str | os.PathLike[str] | None = None,
        journal: str | os.PathLike[str] = "wwopt-journal",
        offline: bool = False,
        pictures: int = 3,
    ) -> None:
        if find_spec("mlflow") is None:
            raise ImportError("MLflow is not installed. Run `pip install 'wwopt[mlflow]'`.")
        super().__init__(journal, run_name, delivers=not offline, pictures=pictures)
        self._uri = absolute_uri(uri or default_uri())
        self._artifacts = None if artifacts is None else artifact_uri(artifacts)
        self._experiment, self._joined = _open_run(self._uri, experiment)

    @property
    def about(self) -> dict[str, Any]:
        """Kind and arguments of the tracker, as the journal keeps them."""
        return {
            "kind": "mlflow",
            "name": self._run_name or self._experiment,
            "uri": self._uri,
            "experiment": self._experiment,
            "joined": self._joined,
            "artifacts": self._artifacts,
        }

    def promote(self, best: object, name: str, alias: str, *, weights: str | os.PathLike[str] | None = None) -> str:
        """Register a trial's model, and point an alias at it.

        Parameters
        ----------
        best : str or trial
            A run's id, the name of a trial's run, or a trial of Optuna.
        name, alias : str
            Of the registered model, which is created, and of the version; MLflow reserves ``latest`` and ``v1``.
        weights : path, optional
            A file that becomes the model's.

        Returns
        -------
        str
            The version; the same when it is asked for again.

        Raises
        ------
        ValueError
            There is no such run, it is not complete, or the alias is reserved.
        """
        from wwopt_trackers.backends.mlflow.registry import promote  # noqa: PLC0415  (loads mlflow)

        self.flush()
        return promote(self.about, trial_name(best), name, alias, weights)


def _open_run(uri: str, experiment: str | None) -> tuple[str, str | None]:
    """Name of the experiment, and the id of the user's open run when it is to be joined."""
    default = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
    if "mlflow" not in sys.modules:
        return experiment or default, None
    import mlflow  # noqa: PLC0415  (is imported)

    active = mlflow.active_run()
    if active is None or absolute_uri(str(mlflow.get_tracking_uri())) != uri:
        return experiment or default, None
    name = str(mlflow.MlflowClient(uri).get_experiment(active.info.experiment_id).name)
    return (name, active.info.run_id) if experiment in (None, name) else (str(experiment), None)
