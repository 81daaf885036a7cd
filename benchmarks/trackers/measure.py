"""The rows of the table: each measured beside its comparison, in this run, imports excluded."""

from __future__ import annotations

import pickle
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from mlflow import MlflowClient
from optuna.artifacts import FileSystemArtifactStore

import wwopt
from tests.support import delivery_drill
from tests.support.delivery_drill import network, weights
from wwopt.cli.demo import study as demo
from wwopt.cli.demo.digits import load
from wwopt_trackers import LocalTracker, MLflowTracker, verify
from wwopt_trackers.journal.journal import find_journals
from wwopt_trackers.journal.locks import SENDER, is_locked

MODES = {"pass": "up", "reset": "down", "hang": "hung"}
_barrier = None


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    asked: str
    met: bool


def training_thread(analysis, proxy, steps):
    """Time of `log` while the server is up, is down and hangs."""
    for mode, name in MODES.items():
        proxy.set(mode)
        tracker = MLflowTracker(experiment=f"thread-{mode}", uri=proxy.uri, pictures=0)
        trial = tracker.child("trial", params={}, tags={})
        times = []
        for step in range(steps):
            fresh = pickle.loads(pickle.dumps(analysis))
            fresh.summary  # noqa: B018  (an objective has computed its score by then)
            work(0.03)
            start = time.perf_counter()
            trial.log(fresh, step=step)
            times.append(1000 * (time.perf_counter() - start))
        tracker.finish("complete", timeout=1)
        median, p99 = np.quantile(times, (0.5, 0.99))
        yield Row(
            f"a step of 200 layers on the training thread, server {name}",
            f"median {median:.2f} ms, p99 {p99:.1f} ms",
            "<= 1 ms, <= 10 ms",
            median <= 1 and p99 <= 10,
        )
    proxy.set("pass")


def drilled(steps, layers):
    """The drill: outages and a death, with every point counted."""
    found = delivery_drill.run(steps, layers)
    yield Row(
        f"{steps:,} steps of {layers} layers, server killed three times, process killed once",
        f"{found['points']:,} points: {found['lost']} lost, {found['duplicated']} duplicated; {found['seconds']} s",
        "0 lost, 0 duplicated",
        bool(found["points"] and not found["lost"] and not found["duplicated"]),
    )


def delivery_rate(analysis, server, points):
    """Points a second, against `mlflow.log_metric` one by one."""
    client = MlflowClient(server.uri)
    run = client.create_run(client.create_experiment("one-by-one"))
    start = time.perf_counter()
    for step in range(points):
        client.log_metric(run.info.run_id, "value", step, step=step)
    single = points / (time.perf_counter() - start)
    with MLflowTracker(experiment="batches", uri=server.uri, pictures=0, journal="batches") as tracker:
        warm(tracker)
        trial = tracker.child("trial", params={}, tags={})
        start = time.perf_counter()
        for step in range(20):
            trial.log(analysis, step=step)
        trial.finish("complete", timeout=120)
        seconds = time.perf_counter() - start
        batched = sum(run.points for run in verify("batches") if run.run == "trial") / seconds
    yield Row(
        "delivery to a local server, against `mlflow.log_metric` for each point",
        f"{batched:,.0f} points/s with spectra, {batched / single:.0f}x",
        ">= 5x",
        batched >= 5 * single,
    )


def threads(server, steps, rounds):
    """Eight trials in eight threads, tracked and not."""
    torch.set_num_threads(1)
    in_threads(None, 1)
    ratios, runs = [], []
    for number in range(rounds):
        plain = in_threads(None, steps)
        tracker = MLflowTracker(experiment=f"threads-{number}", uri=server.uri, pictures=0)
        warm(tracker)
        ratios.append(in_threads(tracker, steps) / plain)
        tracker.finish("complete", timeout=120)
        runs += runs_of(server, f"threads-{number}")
    yield unmixed("8 trials in 8 threads", ratios, runs, trials=8 * rounds, studies=rounds, steps=steps)


def in_threads(tracker, steps):
    start = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(train, tracker, steps), range(8)))
    return time.perf_counter() - start


def processes(server, steps, rounds):
    """Two trials in each of four processes, tracked and not."""
    context = get_context("spawn")
    ratios, runs = [], []
    with ProcessPoolExecutor(4, context, initializer=together, initargs=(context.Barrier(4),)) as pool:
        for number in range(rounds):
            times = []
            for experiment in (None, f"processes-{number}"):
                jobs = [pool.submit(in_process, server.uri, experiment, worker, steps) for worker in range(4)]
                times.append(max(job.result() for job in jobs))
            ratios.append(times[1] / times[0])
            runs += runs_of(server, f"processes-{number}")
    yield unmixed("8 trials in 4 processes", ratios, runs, trials=8 * rounds, studies=rounds, steps=steps)


def together(barrier):
    """Let the processes of a pool begin their jobs at the same time."""
    global _barrier  # noqa: PLW0603  (a pool has no other way to hand it on)
    _barrier = barrier


def in_process(uri, experiment, worker, steps):
    """Two trials; gives the time they took, the start of the sender and the last delivery excluded."""
    torch.set_num_threads(1)
    train(None, 1, worker)
    tracker = MLflowTracker(experiment=experiment, uri=uri, pictures=0) if experiment else None
    if tracker:
        warm(tracker)
    _barrier.wait()
    start = time.perf_counter()
    for trial in range(2):
        train(tracker, steps, 2 * worker + trial)
    taken = time.perf_counter() - start
    if tracker:
        tracker.finish("complete", timeout=120)
    return taken


def unmixed(what, ratios, runs, *, trials, studies, steps):
    """Whether every run has its own points under its own study, and the time that tracking took."""
    parents = {parent for _, parent, _ in runs}
    mixed = sum(sorted(points) != [(step, float(number)) for step in range(steps)] for number, _, points in runs)
    slower = statistics.median(ratios) - 1
    return Row(
        what,
        f"{len(runs)} runs under {len(parents)} studies, {mixed} mixed; wall time {slower:+.1%}",
        "0 mixed, <= +10%",
        len(runs) == trials and len(parents) == studies and not mixed and slower <= 0.1,
    )


def large_model(server):
    """Metric keys that a run of a network of 1,000 layers has after six steps."""
    analyses = [network(1000, seed) for seed in range(2)]
    with LocalTracker("large") as local, MLflowTracker(experiment="large", uri=server.uri, pictures=0) as tracker:
        for step in range(6):
            local.log(analyses[step % 2], step=step)
            tracker.log(analyses[step % 2], step=step)
        tracker.flush(60)
    client = MlflowClient(server.uri)
    (run,) = client.search_runs([client.get_experiment_by_name("large").experiment_id])
    count = len(run.data.metrics)
    yield Row("metric keys of a run of a 1,000-layer model", str(count), "<= 250", 0 < count <= 250)


def demo_study(trials, rounds):
    """The demo's study with the demo's own settings and store, tracked and not: to its end, and to the last delivery.

    Nothing is excluded: the sender's start, its imports and the making of the store count.
    """
    torch.set_num_threads(1)
    data, _ = load()
    study(data, 2, 0, tracked=False)
    trained, delivered = [], []
    for number in range(rounds):
        order = (False, True) if number % 2 else (True, False)
        took = {tracked: study(data, trials, number, tracked=tracked) for tracked in order}
        plain, _ = took[False]
        trained.append(took[True][0] / plain)
        delivered.append(took[True][1] / plain)
    until_end, slower = statistics.median(trained) - 1, statistics.median(delivered) - 1
    yield Row(
        f"the demo's study of {trials} trials, its sender's start and imports included",
        f"wall time {until_end:+.1%} to the end of the trainings, {slower:+.1%} to the last delivery",
        "<= +5%",
        slower <= 0.05,
    )


def study(data, trials, seed, *, tracked):
    """Seconds that the demo's study takes: until its trainings have ended, and until all is delivered."""
    folder = Path(f"demo-{seed}-{tracked}-{trials}").absolute()
    (folder / "networks").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    fresh = demo.open_study(folder, seed)
    trackers = demo.open_trackers(folder, fresh, wandb=False) if tracked else []
    train, store = demo.Trainer(data, folder / "networks", seed), FileSystemArtifactStore(folder / "artifacts")
    start, clock = datetime.now(), time.perf_counter()  # noqa: DTZ005  (Optuna's have no zone)
    demo.tune(fresh, train, store, trackers, trials)
    last = time.perf_counter() - clock
    end = max(trial.datetime_complete for trial in fresh.get_trials(deepcopy=False))
    for journal in find_journals(folder / "journal") if tracked else ():
        while is_locked(journal.with_suffix(SENDER)):  # it draws figures, which the next study would feel
            time.sleep(0.1)
    return (end - start).total_seconds(), last


def work(seconds):
    """Compute as a training does: matrix products, which leave the interpreter to others."""
    matrix = torch.ones(256, 256)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix


def train(tracker, steps, number):
    """A trial of so many steps of fixed work, each with the analysis that there is to log."""
    matrix, layers = torch.ones(512, 512), weights(20)
    trial = tracker.child(f"{number}", params={"number": number}, tags={}) if tracker else None
    for step in range(steps):
        for _ in range(40):
            matrix @ matrix
        analysis = wwopt.analyze(layers, progress=False)
        if trial:
            trial.log(analysis, step=step, metrics={"number": number})
    if trial:
        trial.finish("complete")


def warm(tracker):
    """Let the sender import what it needs, once it has something to do."""
    tracker.child("warm", params={}, tags={}).finish("complete", timeout=60)


def runs_of(server, experiment):
    """Each trial of an experiment: its number, its study, and what it has logged under `number`."""
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], "tags.`wwopt.role` = 'trial'")
    return [
        (
            run.data.params["number"],
            run.data.tags["mlflow.parentRunId"],
            [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "number")],
        )
        for run in runs
        if run.data.params
    ]
