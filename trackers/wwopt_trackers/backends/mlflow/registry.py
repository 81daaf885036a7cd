"""MLflow's model registry: the model of a trial becomes a version with an alias."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

__all__ = ["promote"]


def promote(about: Mapping[str, Any], best: str, name: str, alias: str, weights: str | os.PathLike[str] | None) -> str:
    """Register the model of a run, point an alias at it, and give its version; see `MLflowTracker.promote`."""
    from mlflow import MlflowClient  # noqa: PLC0415  (takes seconds)

    if alias == "latest" or re.fullmatch(r"v\d+", alias, re.IGNORECASE):
        raise ValueError(f"`alias` must not be 'latest' or like 'v1', which MLflow keeps for itself, got {alias!r}.")
    client = MlflowClient(about["uri"])
    run = _find(client, about, best)
    model = _model(client, run, best)
    if weights is not None:
        client.log_model_artifact(model.model_id, os.fspath(weights))
    version = _version(client, about["uri"], name, run, model)
    client.set_registered_model_alias(name, alias, version)
    return version


def _find(client: MlflowClient, about: Mapping[str, Any], best: str) -> Run:
    experiment = client.get_experiment_by_name(about["experiment"])
    if experiment is None:
        raise ValueError(f"There is no experiment {about['experiment']!r}.")
    if re.fullmatch("[0-9a-f]{32}", best):
        return client.get_run(best)
    runs = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    found = [run for run in runs if run.info.run_name == best]
    if len(found) != 1:
        raise ValueError(
            f"`best` must name one run of the experiment {about['experiment']!r}, but {len(found)} are called"
            f" {best!r}; give the run's id."
        )
    return found[0]


def _model(client: MlflowClient, run: Run, best: str) -> LoggedModel:
    models = client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'")
    if not models:
        raise ValueError(f"`best` must be a run that is complete, but {best!r} is {run.info.status}.")
    return models[0]


def _version(client: MlflowClient, uri: str, name: str, run: Run, model: LoggedModel) -> str:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run.info.run_id:
            return str(version.version)
    # A store in a file resolves a model's URI at the global tracking URI; a server resolves it at its own.
    served = urlsplit(uri).scheme in ("http", "https")
    source = model.model_uri if served else model.artifact_location
    created = client.create_model_version(name, source, run.info.run_id, model_id=model.model_id if served else None)
    return str(created.version)
