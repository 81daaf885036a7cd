"""Trackers for wwopt: MLflow, Weights & Biases, trackers of accelerate, and the journal that they share."""

from __future__ import annotations

from wwopt_trackers.accelerate import AccelerateTracker, from_accelerate
from wwopt_trackers.delivery.sync import Synced, sync
from wwopt_trackers.delivery.verify import Verified, verify
from wwopt_trackers.local import LocalTracker
from wwopt_trackers.mlflow import MLflowTracker
from wwopt_trackers.selection.select import STATES, Selection, select
from wwopt_trackers.study_callback import StudyCallback
from wwopt_trackers.wandb import WandbTracker

__all__ = [
    "STATES",
    "AccelerateTracker",
    "LocalTracker",
    "MLflowTracker",
    "Selection",
    "StudyCallback",
    "Synced",
    "Verified",
    "WandbTracker",
    "from_accelerate",
    "select",
    "sync",
    "verify",
]
