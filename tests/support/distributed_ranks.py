"""Two processes that train together, in a gloo group.

`test_distributed` runs it once: ``python distributed_ranks.py FOLDER``.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import optuna
import torch
import torch.distributed as dist

from wwopt_objectives import AlphaMonitor, AlphaPruner
from wwopt_objectives.training.distributed import from_rank_zero
from wwopt_objectives.training.training_callback import TrainingCallback

DEADLINE = timedelta(minutes=4)  # for a rank that waits for the other


def network(decay):
    left, _, right = np.linalg.svd(np.random.default_rng(0).normal(size=(64, 64)))
    model = torch.nn.Sequential(torch.nn.Linear(64, 64))
    model[0].weight.data = torch.tensor(left * (1.0 + np.arange(64)) ** -decay @ right)
    return model


def raised(work):
    try:
        work()
    except Exception as error:  # noqa: BLE001  (what was raised is what is tested)
        return f"{type(error).__name__}: {error}"
    return None


def rank(number, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'rendezvous'}", rank=number, world_size=2, timeout=DEADLINE
    )
    monitor = AlphaMonitor(network([0.5, 6.0][number]))  # rank 1 holds something else, which is never read
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner()) if number == 0 else None
    callback = TrainingCallback(stop=False, trial=study.ask() if study else None)
    callback.start(network(6.0), 10)
    epochs = 0
    while callback.reason is None and epochs < 10:
        callback.end_epoch(epochs)
        epochs += 1
    found = {
        "score": monitor.step(0).score,
        "epochs": epochs,
        "reason": callback.reason,
        "result": raised(callback.result),
        "frozen": raised(lambda: monitor.freeze(["0"])),
        "failed": raised(lambda: from_rank_zero(lambda: 1 // 0)),
    }
    (folder / f"rank-{number}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    child = os.fork()
    rank(1 if child == 0 else 0, Path(sys.argv[1]))
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
