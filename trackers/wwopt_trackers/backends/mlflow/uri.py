"""URIs of MLflow's stores, found without importing MLflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["absolute_uri", "artifact_uri", "default_uri"]

SQLITE = "sqlite:///"


def default_uri() -> str:
    """MLflow's own tracking URI; MLflow itself answers where it is imported already."""
    if "mlflow" in sys.modules:
        import mlflow  # noqa: PLC0415  (is imported)

        return str(mlflow.get_tracking_uri())
    old = Path("mlruns").absolute()  # MLflow stays with the folder of its earlier versions where one has data
    default = old.as_uri() if any(old.glob("*/meta.yaml")) else "sqlite:///mlflow.db"
    return os.environ.get("MLFLOW_TRACKING_URI") or default


def absolute_uri(uri: str) -> str:
    """URI of the same store from any folder: `wwopt sync` may run in another one.

    Examples
    --------
    >>> absolute_uri("http://127.0.0.1:5000")
    'http://127.0.0.1:5000'
    >>> absolute_uri("sqlite:///mlflow.db").endswith("/mlflow.db")
    True
    """
    file = uri.removeprefix(SQLITE)
    return f"{SQLITE}{Path(file).absolute()}" if uri.startswith(SQLITE) and file else uri


def artifact_uri(location: str | os.PathLike[str]) -> str:
    """URI of a place for artifacts, given as a path or as a URI.

    Examples
    --------
    >>> artifact_uri("s3://bucket/digits")
    's3://bucket/digits'
    """
    location = os.fspath(location)
    return location if "://" in location else Path(location).absolute().as_uri()
