"""Track a study in MLflow: trials nested in it, with their true states, through any outage."""

from __future__ import annotations

from typing import Any

from wwopt_trackers import MLflowTracker, StudyCallback

__all__ = ["MLflowCallback"]


class MLflowCallback(StudyCallback):
    """Give each trial of a study a run in MLflow.

    Parameters
    ----------
    experiment : str, optional
        Name of the experiment; it is created.
    **options
        Further arguments of `wwopt_trackers.MLflowTracker`, such as ``uri``.
    """

    def __init__(self, experiment: str | None = None, **options: Any) -> None:
        super().__init__(MLflowTracker(experiment, **options))
