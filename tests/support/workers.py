"""Four worker processes on one study, one of them killed in the middle of a trial; run by `test_storages`.

``python workers.py KIND URL FOLDER [KIND URL FOLDER ...]``. Everything is imported once, and the workers are forked
from here. What each of them saw of its trials is left as lines of JSON in its folder. Nothing hangs on the speed of the
machine: each wait is for an event, and the dead worker's heartbeat is made old rather than waited for.
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
import sqlalchemy

from wwopt_objectives import AlphaObjective

WORKERS, TRIALS = 4, 8
DEADLINE = 300  # seconds for each wait
BROKEN = 6.0
HEARTBEATS = ("sqlite", "postgres")  # the storages that notice a dead worker


def open_storage(kind, url):
    if kind == "journal":
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    if kind == "grpc":
        return optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=int(url))
    return optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": DEADLINE}} if kind == "sqlite" else {},
        heartbeat_interval=1,
        grace_period=DEADLINE,  # no worker that is only slow is taken for dead
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
        self.trial = tags["trial"]
        return self

    def log(self, analysis, *, step, metrics=None):
        pass

    def finish(self, state, *, reason="", timeout=None):
        scratch = self.marker.with_suffix(".tmp")
        scratch.write_text(self.trial)
        scratch.replace(self.marker)
        time.sleep(DEADLINE)


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
        retried = [other.state.is_finished() for other in study.trials if other.system_attrs.get("retry_history")]
        if len(study.trials) > TRIALS and (any(retried) or kind not in HEARTBEATS):
            study.stop()

    objective = AlphaObjective(train, trackers=trackers, artifact_store=False, every=1, n_steps=2)
    if not victim:
        wait_for((folder / "stuck").exists)
    study.optimize(objective, timeout=DEADLINE, callbacks=[keep])


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {DEADLINE} s in vain")
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


def expire_heartbeat(storage, number):
    """Make a trial's last heartbeat so old that its worker is taken for dead."""
    trial_id = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name("s"), number)
    storage.record_heartbeat(trial_id)
    with storage.engine.begin() as connection:
        statement = "UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00' WHERE trial_id = :trial"
        connection.execute(sqlalchemy.text(statement), {"trial": trial_id})
    storage.engine.dispose()


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
    ends = [os.waitpid(workers[0], 0)[1]]
    if kind in HEARTBEATS:
        expire_heartbeat(open_storage(kind, url), int((folder / "stuck").read_text()))
    ends += [os.waitpid(worker, 0)[1] for worker in workers[1:]]
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
