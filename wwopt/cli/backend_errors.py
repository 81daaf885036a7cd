"""Calls to tracking backends from a command: few retries, no logging, errors of one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["backend_calls"]

SETTINGS = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
LOGGERS = ("mlflow", "alembic")


@contextmanager
def backend_calls() -> Iterator[None]:
    """Call MLflow or W&B in this block.

    Raises
    ------
    OSError
        For whatever a backend raises that a command would not report as one line.
    """
    from wwopt_trackers.recording.supervisor import HTTP_RETRIES  # noqa: PLC0415  (loads the trackers)

    for name, value in {**HTTP_RETRIES, **SETTINGS}.items():
        os.environ.setdefault(name, value)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:  # backends raise anything
        raise OSError(f"the backend fails ({type(error).__name__}: {error})") from error
