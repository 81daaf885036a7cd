"""What a training process loads: the journal, and neither the sender nor a backend's library."""

import json
import subprocess
import sys

import pytest

OFFLINE = """
import json, sys, wwopt, wwopt_trackers
assert not {"torch", "optuna", "matplotlib"} & set(sys.modules)
kind, options = sys.argv[1], json.loads(sys.argv[2])
with getattr(wwopt_trackers, kind)(**options) as tracker:
    tracker.child("trial-0", params={"lr": 0.1}, tags={}).log(wwopt.Analysis.load("analysis.npz"), step=0)
print(json.dumps(sorted(sys.modules)))
"""
LIBRARIES = {"mlflow", "wandb", "torch", "optuna", "matplotlib", "accelerate"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [("LocalTracker", {"path": "log"}), ("MLflowTracker", {"experiment": "digits", "offline": True})],
)
def test_a_training_never_loads_the_sender(analysis, kind, options):
    """Importing the package and logging to a journal loads neither the sender nor MLflow, W&B or torch."""
    analysis.save("analysis.npz")
    command = [sys.executable, "-c", OFFLINE, kind, json.dumps(options)]
    loaded = set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    assert "wwopt_trackers.recording.session" in loaded
    assert not {"wwopt_trackers.delivery.sender", "wwopt_trackers.delivery.process"} & loaded
    assert not LIBRARIES & loaded
