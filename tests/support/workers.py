"""Four worker processes on one study, one of them killed in the middle of a trial; run by `test_storages`.

``python workers.py KIND URL FOLDER [KIND URL FOLDER ...]``. Everything is imported once, and the workers are forked
from here. What each of them saw of its trials is left as lines of JSON in its folder.
"""

import json
import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import optuna

from wwopt_objectives import AlphaObjective

WORKERS, TRIALS, PATIENCE = 4, 8, 60
BROKEN, HEALTHY = 6.0, 0.5


def open_storage(kind, url):
    if kind == "journal":
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    if kind == "grpc":
        return optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=int(url))
    return optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if kind == "sqlite" else {},
        heartbeat_interval=1,
        grace_period=2,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )


def serve(url, port):
    optuna.storages.run_grpc_proxy_server(optuna.storages.RDBStorage(url), host="127.0.0.1", port=port)


def network(decay):
    left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=(64, 64)))
    return {"layer.weight": left * (1.0 + np.arange(64)) ** -decay @ right}


class Stuck:
    """A tracker that never comes back from the end of a trial: all is recorded, and Optuna has not been told."""

    def __init__(self, marker):
        self.marker = marker

    def child(self, name, *, params, tags):
        return self

    def log(self, analysis, *, step, metrics=None):
        pass

    def finish(self, state, *, reason="", timeout=None):
        self.marker.touch()
        time.sleep(PATIENCE)


def work(index, kind, url, folder):
    """Run trials; the first worker gets stuck in its first, with a network that collapsed."""
    study = optuna.load_study(study_name="s", storage=open_storage(kind, url), pruner=optuna.pruners.NopPruner())
    victim = index == 0
    trackers = [Stuck(folder / "stuck")] if victim else []

    def train(trial):
        decay = trial.suggest_float("decay", 0.3, 0.8)
        for _ in range(2):
            yield network(BROKEN if victim else decay)
            time.sleep(0.02)

    def keep(study, trial):
        line = json.dumps({"number": trial.number, "value": trial.value, "attributes": trial.user_attrs})
        with (folder / f"worker-{index}.jsonl").open("a") as file:
            file.write(line + "\n")
        retried = [other for other in study.trials if other.system_attrs.get("retry_history")]
        heartbeats = kind in ("sqlite", "postgres")
        if (retried and retried[0].state.is_finished()) if heartbeats else len(study.trials) > TRIALS:
            study.stop()

    objective = AlphaObjective(train, trackers=trackers, artifact_store=False, every=1, n_steps=2)
    if not victim:
        wait_for((folder / "stuck").exists)
    study.optimize(objective, timeout=PATIENCE, callbacks=[keep])


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {PATIENCE} s in vain")
        time.sleep(0.02)


def fork(function, *arguments):
    process = os.fork()
    if process:
        return process
    function(*arguments)
    os._exit(0)


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def supervise(kind, url, folder):
    """Run the workers of a study, kill the one that is stuck, and see the others end well."""
    server = None
    if kind == "grpc":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server, url = fork(serve, url, port), str(port)
        wait_for(lambda: listens(port))
    creator = fork(lambda: optuna.create_study(study_name="s", storage=open_storage(kind, url), direction="minimize"))
    os.waitpid(creator, 0)
    workers = [fork(work, index, kind, url, folder) for index in range(WORKERS)]
    wait_for((folder / "stuck").exists)
    os.kill(workers[0], signal.SIGKILL)
    ends = [os.waitpid(worker, 0)[1] for worker in workers]
    if server:
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)
    if ends != [signal.SIGKILL, 0, 0, 0]:
        raise SystemExit(f"{kind}: the workers ended with {ends}")


def main(arguments):
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    triples = zip(arguments[::3], arguments[1::3], map(Path, arguments[2::3]), strict=True)
    studies = [fork(supervise, *triple) for triple in triples]
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(study, 0)[1]) for study in studies))


if __name__ == "__main__":
    main(sys.argv[1:])
