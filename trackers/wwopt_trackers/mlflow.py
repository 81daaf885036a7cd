"""MLflow: a study is a run, its trials are nested in it."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wwopt_trackers.journal import now
from wwopt_trackers.keys import MLFLOW
from wwopt_trackers.sqlite import locked
from wwopt_trackers.tracker import STUDY, JournalTracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from wwopt_trackers.destination import Point
    from wwopt_trackers.records import Delivery, Entry, Run

__all__ = ["MLflowDestination", "MLflowTracker"]

ROLE = "wwopt.role"
RUN = "wwopt.run"  # tag with the journal's id of a run: an attempt that was cut off finds what it made
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100
LONGEST_PARAM, LONGEST_TAG = 6000, 8000
ANSWER = 5.0  # seconds in which a server must answer; MLflow's own calls take four minutes to fail


class MLflowTracker(JournalTracker):
    """Log to MLflow: the study as a run, its trials nested in it, each with its true final state.

    Nothing here is felt by the training: numbers go to a journal on the local disk, and a thread brings them to
    MLflow. While MLflow is away they wait; ``wwopt sync`` delivers what a process could not.

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
    ) -> None:
        if find_spec("mlflow") is None:
            raise ImportError("MLflow is not installed. Run `pip install 'wwopt[mlflow]'`.")
        super().__init__(journal, run_name, delivers=not offline)
        self._uri = uri or _default_uri()
        self._artifacts = None if artifacts is None else _as_uri(os.fspath(artifacts))
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


class MLflowDestination:
    """An experiment of an MLflow store."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415  (takes seconds)

        self._uri, self._name, self._joined = about["uri"], about["experiment"], about["joined"]
        self._artifacts = about["artifacts"]
        digest = hashlib.sha256(f"{self._uri} {self._name}".encode()).hexdigest()[:16]
        self._lock = Path(tempfile.gettempdir(), f"wwopt-{digest}.lock")
        self._client = MlflowClient(self._uri)
        self._experiment: str | None = None

    def check(self) -> None:
        """Raise `ConnectionError` when a server does not answer; a store in a file always does."""
        if urlsplit(self._uri).scheme in ("http", "https"):
            import requests  # noqa: PLC0415  (comes with MLflow)

            requests.get(f"{self._uri.rstrip('/')}/health", timeout=ANSWER)

    def open(self, run: Run, parent: str | None, delivery: Delivery | None) -> MLflowRun:
        """Create a run, or find the one that is its own; one process at a time, since MLflow makes two of a name."""
        with locked(self._lock, timeout=60):
            return MLflowRun(self._client, *self._find_or_create(run, parent, delivery))

    def points(self, remote: str, names: Sequence[str]) -> Iterator[Point]:
        """Read back what MLflow has of a run under these names."""
        for name in names:
            for point in self._client.get_metric_history(remote, MLFLOW.encode(name)):
                yield name, point.step, point.timestamp, _stored(point.value)

    def forget(self) -> None:
        """A client holds nothing that can break."""

    def _find_or_create(self, run: Run, parent: str | None, delivery: Delivery | None) -> tuple[str, bool]:
        if delivery and delivery.remote:
            return delivery.remote, delivery.remote != self._joined
        if self._joined and run.parent is None:
            return self._joined, False
        study = run.tags.get(STUDY) if run.parent is None else None
        found = self._search(ROLE, "study", {STUDY: study}) if study else None
        found = found or (self._search(RUN, run.id, {}) if delivery else None)
        if found:
            self._client.update_run(found, status="RUNNING")
        return found or self._create(run, parent), True

    def _create(self, run: Run, parent: str | None) -> str:
        from mlflow.entities import Param  # noqa: PLC0415
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_USER  # noqa: PLC0415

        tags = {RUN: run.id, MLFLOW_USER: _user()} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {ROLE: "study"})
        tags |= {MLFLOW.encode(key): str(value)[:LONGEST_TAG] for key, value in run.tags.items()}
        created: str = self._client.create_run(self._id(), run.start, tags, run.name).info.run_id
        params = [Param(MLFLOW.encode(key), str(value)[:LONGEST_PARAM]) for key, value in run.params.items()]
        for start in range(0, len(params), PARAMS_PER_CALL):
            self._client.log_batch(created, params=params[start : start + PARAMS_PER_CALL])
        return created

    def _search(self, tag: str, value: str, others: Mapping[str, str]) -> str | None:
        """The oldest run with these tags; only the first is asked for, since a query cannot quote every name."""
        token = None
        while True:
            page = self._client.search_runs(
                [self._id()], f"tags.`{tag}` = '{value}'", order_by=["start_time"], page_token=token
            )
            for run in page:
                if others.items() <= run.data.tags.items():
                    return str(run.info.run_id)
            if not (token := page.token):
                return None

    def _id(self) -> str:
        if self._experiment is None:
            from mlflow.exceptions import MlflowException  # noqa: PLC0415

            with suppress(MlflowException):  # it is there, or the next line says what is wrong
                self._client.create_experiment(self._name, self._artifacts)
            found = self._client.get_experiment_by_name(self._name)
            if found is None or found.lifecycle_stage == "deleted":
                raise RuntimeError(
                    f"the experiment {self._name!r} was deleted; `mlflow experiments restore` brings it back"
                )
            self._experiment = found.experiment_id
        return self._experiment


class MLflowRun:
    """A run of an MLflow store."""

    fresh = False

    def __init__(self, client: MlflowClient, name: str, ours: bool) -> None:
        self._client, self.name, self._ours = client, name, ours

    def send(self, entries: Sequence[Entry]) -> None:
        """Send scalars; MLflow drops a point that it has."""
        from mlflow.entities import Metric  # noqa: PLC0415

        metrics = [
            Metric(key, value, entry.time, entry.step)
            for entry in entries
            for key, value in MLFLOW.encode_all(entry.metrics).items()
        ]
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(self.name, metrics[start : start + METRICS_PER_CALL])

    def attach(self, folder: Path, step: int) -> None:
        """Send the files of a step; one that is there is replaced."""
        for file in sorted(folder.iterdir()):
            self._client.log_artifact(self.name, str(file), f"ww/step-{step:06d}")

    def close(self, run: Run) -> None:
        """End the run; one that the user opened stays open."""
        self._client.set_tag(self.name, "wwopt.state", run.state)
        if run.reason:
            self._client.set_tag(self.name, "wwopt.reason", run.reason[:LONGEST_TAG])
        if self._ours:
            self._client.set_terminated(self.name, STATUS[run.state or "failed"], run.stop or now())


def _default_uri() -> str:
    """MLflow's tracking URI, without importing MLflow where that is not needed."""
    if "mlflow" in sys.modules:
        import mlflow  # noqa: PLC0415  (is imported)

        return str(mlflow.get_tracking_uri())
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def _open_run(uri: str, experiment: str | None) -> tuple[str, str | None]:
    """Name of the experiment, and the id of the user's open run when it is to be joined."""
    default = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
    if "mlflow" not in sys.modules:
        return experiment or default, None
    import mlflow  # noqa: PLC0415  (is imported)

    active = mlflow.active_run()
    if active is None or str(mlflow.get_tracking_uri()) != uri:
        return experiment or default, None
    name = str(mlflow.MlflowClient(uri).get_experiment(active.info.experiment_id).name)
    return (name, active.info.run_id) if experiment in (None, name) else (str(experiment), None)


def _stored(value: float) -> float:
    """MLflow keeps an infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def _as_uri(location: str) -> str:
    return location if "://" in location else Path(location).absolute().as_uri()


def _user() -> str:
    from mlflow.tracking.context.default_context import DefaultRunContext  # noqa: PLC0415

    return str(DefaultRunContext().tags().get("mlflow.user", ""))  # type: ignore[no-untyped-call]
