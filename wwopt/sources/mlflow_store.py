"""What MLflow keeps under a name: the versions of a registered model, and what a run has logged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wwopt.sources.checkpoints import ANALYSIS
from wwopt.text import one_line
from wwopt.tracking import step_of

__all__ = ["last_analysis", "model_versions", "models_of_run"]


def model_versions(name: str) -> list[str]:
    """List the versions of a registered model, the oldest first.

    Raises
    ------
    FileNotFoundError
        No registered model is called so.
    """
    mlflow = _mlflow(f"models:/{name}")
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    if not versions:
        raise FileNotFoundError(f"No registered model is called {name!r} at {mlflow.get_tracking_uri()}.")
    return [str(number) for number in sorted(int(version.version) for version in versions)]


def last_analysis(run: str) -> Path | None:
    """Bring the analysis of a run's last step here; None where a tracker has logged none.

    Raises
    ------
    FileNotFoundError
        There is no such run, or it cannot be reached.
    """
    mlflow = _mlflow(f"runs:/{run}")
    with _reading(run):
        folders = [entry.path for entry in mlflow.MlflowClient().list_artifacts(run, "ww") if entry.is_dir]
        steps = {step: folder for folder in folders if (step := step_of(folder)) is not None}
        if not steps:
            return None
        file = f"runs:/{run}/{steps[max(steps)]}/{ANALYSIS}"
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=file))


def models_of_run(run: str) -> list[str]:
    """List the ids of the models that a run has logged.

    Raises
    ------
    FileNotFoundError
        There is no such run, or it cannot be reached.
    ValueError
        It has logged none.
    """
    mlflow = _mlflow(f"runs:/{run}")
    with _reading(run):
        outputs = mlflow.MlflowClient().get_run(run).outputs
    models = [str(output.model_id) for output in outputs.model_outputs] if outputs else []
    if not models:
        raise ValueError(f"The run {run} has logged neither an analysis nor a model.")
    return models


@contextmanager
def _reading(run: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  (an extra)

    try:
        yield
    except (MlflowException, OSError) as error:
        raise FileNotFoundError(f"The run {run} cannot be read: {one_line(error)}") from error


def _mlflow(name: str) -> Any:
    try:
        import mlflow  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError(f"{name} needs MLflow. Run `pip install 'wwopt[mlflow]'`.") from error
    return mlflow
