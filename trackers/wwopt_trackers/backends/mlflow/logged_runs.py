"""Runs of an MLflow experiment, read back with their spectra."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt.tracking import step_of
from wwopt_trackers.backends.keys import MLFLOW
from wwopt_trackers.backends.logged_run import LoggedRun, read_analysis
from wwopt_trackers.backends.mlflow.backend import ROLE, RUN, STATUS, check_server, stored
from wwopt_trackers.backends.mlflow.uri import default_uri
from wwopt_trackers.journal.choice_tags import choice_in
from wwopt_trackers.journal.payload import SPECTRA
from wwopt_trackers.journal.records import STUDY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from wwopt.analysis import Analysis

__all__ = ["mlflow_runs"]

STATES = {status: state for state, status in STATUS.items()}


def mlflow_runs(experiment: str, uri: str | None = None) -> Iterator[LoggedRun]:
    """Read the runs of an experiment, oldest first.

    Raises
    ------
    ValueError
        There is no such experiment.
    OSError
        The server does not answer.
    """
    from mlflow import MlflowClient  # noqa: PLC0415  (takes seconds)

    uri = uri or default_uri()
    check_server(uri)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        known = ", ".join(repr(each.name) for each in client.search_experiments(max_results=20))
        raise ValueError(f"There is no experiment {experiment!r} at {uri}; it has {known or 'none'}.")
    token = None
    while True:
        page = client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"], page_token=token)
        for run in page:
            logged = _logged(client, run)
            if logged.step is not None or logged.choice or run.data.tags.get(ROLE) != "study":  # a study is no network
                yield logged
        if not (token := page.token):
            return


def _logged(client: MlflowClient, run: Run) -> LoggedRun:
    tags = run.data.tags
    folders = _folders(client, run.info.run_id) if RUN in tags or "wwopt.state" in tags else {}
    step = max(folders, default=None)
    return LoggedRun(
        name=run.info.run_name,
        id=run.info.run_id,
        study=tags.get("study") or tags.get(MLFLOW.encode(STUDY)) or "",
        state=tags.get("wwopt.state") or STATES.get(run.info.status, "running"),
        step=step,
        params={MLFLOW.decode(key): value for key, value in run.data.params.items()},
        metrics={MLFLOW.decode(key): stored(value) for key, value in run.data.metrics.items()},
        read=lambda: _download(client, run.info.run_id, folders[step or 0]),
        choice=choice_in(tags),
    )


def _folders(client: MlflowClient, run: str) -> dict[int, str]:
    """Folders of a run's artifacts by step."""
    paths = [file.path for file in client.list_artifacts(run, "ww") if file.is_dir]
    return {step: path for path in paths if (step := step_of(path)) is not None}


def _download(client: MlflowClient, run: str, folder: str) -> Analysis:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as scratch:
        try:
            return read_analysis(Path(client.download_artifacts(run, f"{folder}/{SPECTRA}", scratch)))
        except MlflowException as error:
            raise ValueError(str(error)) from error
