"""Kill the server three times and the training once; every point that was logged must arrive, and once.

``python benchmarks/trackers/drill.py [--steps 1000] [--layers 200]`` exits with 1 when a point is lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from parts import Server

import wwopt
from wwopt_trackers import MLflowTracker, sync, verify

EXPERIMENT = "drill"
PACE = 0.05  # seconds between two steps


def network(layers, seed=0):
    """An analysis of a network with so many layers."""
    random = np.random.default_rng(seed)
    return wwopt.analyze({f"block.{i}.fc.weight": random.standard_t(3, size=(128, 64)) for i in range(layers)})


def train(uri, number, steps, *, kill):
    """Log some steps of one trial, saying each step when it is logged; then finish, or die."""
    analysis = wwopt.Analysis.load("network.npz")
    with MLflowTracker(experiment=EXPERIMENT, uri=uri, pictures=0) as tracker:
        trial = tracker.child(f"trial-{number}", params={}, tags={"study": "drill"})
        for step in steps:
            trial.log(analysis, step=step, metrics={"step squared": step**2})
            print(step, flush=True)
            time.sleep(PACE)
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        trial.finish("complete")


def drill(uri, steps, layers, outages):
    """Run the drill in the working directory and give the points that were logged, lost and doubled.

    ``outages`` are called at equal distances; between two of them the process is killed.
    """
    network(layers).save("network.npz")
    logged = [follow(uri, 0, range(steps // 2), outages[::2], kill=True)]
    logged.append(follow(uri, 1, range(steps // 2, steps), outages[1::2], kill=False))
    synced = sync()
    assert all(each.state == "delivered" for each in synced), synced
    return check(uri, logged, layers)


def follow(uri, number, steps, outages, *, kill):
    """Run a training process, and give the steps that it has logged."""
    command = [sys.executable, __file__, "--train", uri, number, steps.start, steps.stop, int(kill)]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    moments = {steps[(place + 1) * len(steps) // (len(outages) + 2)]: outage for place, outage in enumerate(outages)}
    done = []
    for line in process.stdout:
        done.append(int(line))
        moments.get(done[-1], lambda: None)()
    process.stdout.close()
    assert process.wait() == (-signal.SIGKILL if kill else 0)
    return done


def check(uri, logged, layers):
    """Compare what the processes said that they had logged, the journals and MLflow."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], "tags.`wwopt.role` = 'trial'", order_by=["start_time"])
    lost = doubled = 0
    for run, said in zip(runs, logged, strict=True):
        for key in run.data.metrics:
            found = [point.step for point in client.get_metric_history(run.info.run_id, key)]
            lost += len(set(said) - set(found))
            doubled += len(found) - len(set(found))
    runs = verify()
    return {
        "points": sum(run.points for run in runs),
        "lost": lost + sum(len(run.missing) for run in runs),
        "doubled": doubled + sum(len(run.doubled) for run in runs),
        "keys": len(client.search_runs([experiment], "tags.`wwopt.role` = 'trial'")[0].data.metrics),
        "spectra unwritten": sum(len(run.unwritten) for run in runs),
        "layers": layers,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        uri, number, start, stop, kill = arguments.train
        train(uri, number, range(int(start), int(stop)), kill=kill == "1")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with Server(f"sqlite:///{folder}/mlflow.db", Path(folder, "artifacts")) as server:

            def outage():
                server.kill()
                time.sleep(2)
                server.start()

            start = time.monotonic()
            result = drill(server.uri, arguments.steps, arguments.layers, [outage] * 3)
        os.chdir("/")
    print(f"{arguments.steps} steps, server killed 3 times, process once: {result}, {time.monotonic() - start:.0f} s")
    sys.exit(bool(result["lost"] or result["doubled"]))


if __name__ == "__main__":
    main()
