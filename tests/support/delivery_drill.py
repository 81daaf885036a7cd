"""Kill the server three times and the training once; every point that was logged must arrive, and once.

``python -m tests.support.delivery_drill [--steps 1000] [--layers 200]`` exits with 1 when a point is lost or
duplicated.
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

import wwopt
from tests.support.servers import Server
from tests.support.waiting import delivered
from wwopt_trackers import MLflowTracker, verify
from wwopt_trackers.backends.keys import MLFLOW

EXPERIMENT = "drill"
PACE = 0.05  # seconds between two steps
ROOT = str(Path(__file__).parents[2])


def weights(layers, seed=0):
    """A network with so many layers."""
    random = np.random.default_rng(seed)
    return {f"block.{i}.fc.weight": random.standard_t(3, size=(128, 64)) for i in range(layers)}


def network(layers, seed=0):
    """An analysis of a network with so many layers."""
    return wwopt.analyze(weights(layers, seed))


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
    """Run the drill in the working directory and give the points that were logged, lost and duplicated.

    ``outages`` are called at equal distances; between two of them the process is killed.
    """
    network(layers).save("network.npz")
    logged = [follow(uri, 0, range(steps // 2), outages[::2], kill=True)]
    logged.append(follow(uri, 1, range(steps // 2, steps), outages[1::2], kill=False))
    synced = delivered()
    assert all(each.state == "delivered" for each in synced), synced
    return check(uri, logged, layers)


def follow(uri, number, steps, outages, *, kill):
    """Run a training process, and give the steps that it has logged."""
    command = [sys.executable, "-m", __spec__.name, "--train", uri, number, steps.start, steps.stop, int(kill)]
    path = os.pathsep.join(entry for entry in [ROOT, *sys.path] if entry)
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    moments = {steps[(place + 1) * len(steps) // (len(outages) + 2)]: outage for place, outage in enumerate(outages)}
    done = []
    for line in process.stdout:
        done.append(int(line))
        moments.get(done[-1], lambda: None)()
    process.stdout.close()
    assert process.wait() == (-signal.SIGKILL if kill else 0)
    return done


def check(uri, logged, layers):
    """Compare what the processes said that they had logged with MLflow, and every number of the journals with it."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], "tags.`wwopt.role` = 'trial'", order_by=["start_time"])
    lost = duplicated = 0
    for run, said in zip(runs, logged, strict=True):
        found = [point.step for point in client.get_metric_history(run.info.run_id, MLFLOW.encode("step squared"))]
        lost += len(set(said) - set(found))
        duplicated += len(found) - len(set(found))
    runs = verify()
    return {
        "points": sum(run.points for run in runs),
        "lost": lost + sum(len(run.missing) for run in runs),
        "duplicated": duplicated + sum(len(run.duplicated) for run in runs),
        "keys": len(client.search_runs([experiment], "tags.`wwopt.role` = 'trial'")[0].data.metrics),
        "spectra unwritten": sum(len(run.unwritten) for run in runs),
        "layers": layers,
    }


def run(steps, layers):
    """Run the drill in a folder of its own, and give what it found with the seconds that it took."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with Server(f"sqlite:///{folder}/mlflow.db", Path(folder, "artifacts")) as server:

                def outage():
                    server.kill()
                    time.sleep(2)
                    server.start()

                start = time.monotonic()
                found = drill(server.uri, steps, layers, [outage] * 3)
                return {**found, "seconds": round(time.monotonic() - start)}
        finally:
            os.chdir(home)


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
    found = run(arguments.steps, arguments.layers)
    print(f"{arguments.steps} steps, the server killed 3 times and the process once: {found}")
    sys.exit(bool(found["lost"] or found["duplicated"] or not found["points"]))


if __name__ == "__main__":
    main()
