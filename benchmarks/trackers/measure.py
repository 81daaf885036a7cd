"""What tracking costs: on the training thread, in wall time, in keys; and how fast it delivers.

``python benchmarks/trackers/measure.py [--short]`` prints a table, and exits with 1 when a row misses its gate.
Imports are excluded; every row is measured beside its comparison, in this run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from drill import network
from mlflow import MlflowClient
from parts import Proxy, Server

import wwopt
from wwopt_trackers import LocalTracker, MLflowTracker, verify

ROWS = []


def row(what, measured, asked, *, ok):
    """Print a row of the table."""
    ROWS.append(ok)
    print(f"| {what} | {measured} | {asked} | {'yes' if ok else 'NO'} |", flush=True)


def training_thread(analysis, proxy, steps):
    """Time of `log` while the server is up, is down and hangs."""
    for mode in ("pass", "reset", "hang"):
        proxy.set(mode)
        tracker = MLflowTracker(experiment=f"thread-{mode}", uri=proxy.uri, pictures=0)
        trial = tracker.child("trial", params={}, tags={})
        times = []
        for step in range(steps):
            fresh = wwopt.Analysis(analysis.details, analysis.spectra, analysis.skipped, analysis.settings)
            fresh.summary  # noqa: B018  (an objective has computed its score by then)
            work(0.03)
            start = time.perf_counter()
            trial.log(fresh, step=step)
            times.append(1000 * (time.perf_counter() - start))
        tracker.finish("complete", timeout=1)
        median, p99 = np.quantile(times, (0.5, 0.99))
        name = {"pass": "up", "reset": "down", "hang": "hung"}[mode]
        row(
            f"a step of 200 layers on the training thread, server {name}",
            f"median {median:.2f} ms, p99 {p99:.1f} ms",
            "<= 1 ms, <= 10 ms",
            ok=median <= 1 and p99 <= 10,
        )
    proxy.set("pass")


def delivery_rate(analysis, server, points):
    """Points a second, against `mlflow.log_metric` one by one."""
    client = MlflowClient(server.uri)
    run = client.create_run(client.create_experiment("one-by-one"))
    start = time.perf_counter()
    for step in range(points):
        client.log_metric(run.info.run_id, "value", step, step=step)
    single = points / (time.perf_counter() - start)
    with MLflowTracker(experiment="batches", uri=server.uri, pictures=0) as tracker:
        trial = tracker.child("warm", params={}, tags={})
        trial.finish("complete", timeout=60)
        trial = tracker.child("trial", params={}, tags={})
        start = time.perf_counter()
        for step in range(20):
            trial.log(analysis, step=step)
        trial.finish("complete", timeout=120)
        batched = sum(run.points for run in verify() if run.run == "trial") / (time.perf_counter() - start)
    ratio = batched / single
    row("delivery to a local server, spectra included", f"{batched:.0f} points/s, {ratio:.0f}x", ">= 5x", ok=ratio >= 5)


def work(seconds):
    """Compute as a training does: matrix products, which leave the interpreter to others."""
    matrix = torch.ones(256, 256)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix


def train(tracker, analysis, steps, number):
    """A trial of so many steps of fixed work."""
    matrix = torch.ones(512, 512)
    trial = tracker.child(f"{number}", params={"number": number}, tags={}) if tracker else None
    for step in range(steps):
        for _ in range(40):
            matrix @ matrix
        if trial:
            trial.log(analysis, step=step, metrics={"number": number})
    if trial:
        trial.finish("complete")


def in_process(uri, number, steps):
    """Four trials in a process of its own; gives the time they took, imports and the last delivery excluded."""
    torch.set_num_threads(1)
    analysis = wwopt.Analysis.load("network.npz")
    tracker = MLflowTracker(experiment="processes", uri=uri, pictures=0) if uri else None
    start = time.perf_counter()
    for trial in range(4):
        train(tracker, analysis, steps, 4 * number + trial)
    taken = time.perf_counter() - start
    if tracker:
        tracker.finish("complete", timeout=120)
    return taken


def parallel(analysis, server, steps):
    """Eight threads, and four processes: nothing mixed, and no slower than without a tracker."""
    torch.set_num_threads(1)
    times = {}
    for tracked in (False, True):
        tracker = MLflowTracker(experiment="threads", uri=server.uri, pictures=0) if tracked else None
        if tracker:
            tracker.child("warm", params={}, tags={}).finish("complete", timeout=60)
        start = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(train, tracker, analysis, steps), range(8)))
        times[tracked] = time.perf_counter() - start
        if tracker:
            tracker.finish("complete", timeout=120)
    report("8 trials in 8 threads", times, runs_of(server, "threads"), trials=8, steps=steps)
    analysis.save("network.npz")
    for tracked in (False, True):
        with ProcessPoolExecutor(4, get_context("spawn")) as pool:
            jobs = [pool.submit(in_process, server.uri if tracked else None, number, steps) for number in range(4)]
            times[tracked] = max(job.result() for job in jobs)
    report("16 trials in 4 processes", times, runs_of(server, "processes"), trials=16, steps=steps)


def runs_of(server, experiment):
    """Each trial of an experiment: its number, its study, and what it has logged under `number`."""
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], "tags.`wwopt.role` = 'trial'")
    histories = [client.get_metric_history(run.info.run_id, "number") for run in runs if run.data.params]
    return [
        (
            run.data.params["number"],
            run.data.tags["mlflow.parentRunId"],
            [(point.step, point.value) for point in points],
        )
        for run, points in zip([run for run in runs if run.data.params], histories, strict=True)
    ]


def report(what, times, runs, *, trials, steps):
    """Whether every run has its own points, and the time that tracking took."""
    parents = {parent for _, parent, _ in runs}
    mixed = sum(sorted(points) != [(step, float(number)) for step in range(steps)] for number, _, points in runs)
    slower = times[True] / times[False] - 1
    row(
        what,
        f"{len(runs)} runs under {len(parents)} study, {mixed} mixed; wall time {slower:+.1%}",
        "0 mixed, <= +10%",
        ok=len(runs) == trials and len(parents) == 1 and not mixed and slower <= 0.1,
    )


def keys_of_a_large_model(server):
    """Metric keys that a run of a network of 1,000 layers has after five steps."""
    analyses = [network(1000, seed) for seed in range(2)]
    with LocalTracker("large") as local, MLflowTracker(experiment="large", uri=server.uri, pictures=0) as tracker:
        for step in range(6):
            local.log(analyses[step % 2], step=step)
            tracker.log(analyses[step % 2], step=step)
    client = MlflowClient(server.uri)
    (run,) = client.search_runs([client.get_experiment_by_name("large").experiment_id])
    count = len(run.data.metrics)
    row("metric keys of a run of a 1,000-layer model", count, "<= 250", ok=0 < count <= 250)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | measured | asked | met |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        analysis = network(200)
        with Server(f"sqlite:///{folder}/mlflow.db", Path(folder, "artifacts")) as server:
            proxy = Proxy(server.port)
            training_thread(analysis, proxy, 60 if short else 300)
            delivery_rate(analysis, server, 100 if short else 400)
            parallel(network(20), server, 10 if short else 30)
            keys_of_a_large_model(server)
            proxy.close()
        os.chdir("/")
    sys.exit(not all(ROWS))


if __name__ == "__main__":
    main()
