"""A study logged to MLflow, and its runs as MLflow's own client reads them back."""

from __future__ import annotations

from mlflow import MlflowClient

from tests.support.waiting import DEADLINE
from wwopt_trackers import MLflowTracker


def runs_of(store, experiment):
    """Root run and its trials."""
    client = MlflowClient(store)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], order_by=["start_time"])
    roots = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    return roots, sorted(trials, key=lambda run: run.info.run_name)


def track(store, **options):
    """A tracker whose journal `sync` delivers: no process of its own to start for each test."""
    return MLflowTracker(experiment="digits", uri=store, offline=True, **{"pictures": 0, **options})


def log_study(tracker, analysis, names=("trial-0", "trial-1", "trial-2")):
    """Log three trials, which end in three ways, and wait for what is delivered at once."""
    with tracker:
        for name, state in zip(names, ("complete", "pruned", "failed"), strict=False):
            trial = tracker.child(name, params={"lr": 0.1}, tags={"study": "digits", "number": name[-1]})
            for step in range(3):
                trial.log(analysis, step=step, metrics={"loss": 1.0 / (1 + step)})
            trial.finish(state, reason="" if state == "complete" else f"it was {state}")
        tracker.finish("complete", timeout=DEADLINE)
