"""Cost of a study's evaluations: ``python -m benchmarks.objectives.cost``.

The demo's networks are trained with the demo's random settings by a plain objective and by an `AlphaObjective`, in
alternating order; nothing is pruned, so that both train the same. The share is the difference as a part of the
plain time, in the same storage. Beside it: an objective that reports its loss to Optuna and asks `should_prune` after
each epoch, as is usual, which in a database pays a commit for each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import torch

from wwopt.cli.demo.digits import EPOCHS, Trainer, load
from wwopt_objectives import AlphaObjective

__all__ = ["main", "measure"]

TARGET = 0.05  # most that evaluations should take of the training time
STORAGES = ("memory", "sqlite")


def measure(storage: str, trials: int, rounds: int) -> dict[str, list[float]]:
    """Measure the shares of the training time that evaluations and that reports add, a number for each round."""
    torch.set_num_threads(1)
    training, _ = load()
    shares: dict[str, list[float]] = {"evaluations": [], "reports": []}
    for turn in range(rounds + 1):  # the first warms up and does not count
        with tempfile.TemporaryDirectory() as folder:
            train = Trainer(training, Path(folder), seed=turn)

            def plain(trial: optuna.Trial, train: Trainer = train) -> float:
                return [loss for _, loss in train(trial)][-1]

            def reporting(trial: optuna.Trial, train: Trainer = train) -> float:
                for epoch, (_, loss) in enumerate(train(trial)):
                    trial.report(loss, epoch)
                    trial.should_prune()
                return loss

            evaluating = AlphaObjective(train, n_steps=EPOCHS, artifact_store=False, keep="last")  # as in the demo
            objectives = [("evaluations", evaluating), ("plain", plain), ("reports", reporting)]
            order = objectives if turn % 2 else reversed(objectives)
            took = {name: _seconds(run, storage, trials, turn) for name, run in order}
        for name, measured in shares.items():
            measured.append(took[name] / took["plain"] - 1)
    return {name: measured[1:] for name, measured in shares.items()}


def _seconds(objective: Callable[[optuna.Trial], object], storage: str, trials: int, seed: int) -> float:
    """Time of a study whose settings are drawn at random; the same ones for the same seed."""
    with tempfile.TemporaryDirectory() as folder:
        study = optuna.create_study(
            direction="minimize",
            storage=None if storage == "memory" else f"sqlite:///{folder}/study.db",
            sampler=optuna.samplers.RandomSampler(seed=seed),
            pruner=optuna.pruners.NopPruner(),
        )
        start = time.perf_counter()
        study.optimize(objective, n_trials=trials)  # type: ignore[arg-type]
        return time.perf_counter() - start


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objectives.cost", description=__doc__)
    parser.add_argument("--trials", type=int, default=12, help="in each study (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each objective (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the shares into a file")
    options = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shares = {storage: measure(storage, options.trials, options.rounds) for storage in STORAGES}
    print(f"Evaluating the demo's networks, share of the training time (target: below {TARGET:.0%})")
    for storage, measured in shares.items():
        for name, values in measured.items():
            each = ", ".join(f"{value:.1%}" for value in values)
            print(f"  study in {storage:7s} {name:11s} median {statistics.median(values):6.1%}  ({each})")
    if options.json:
        options.json.write_text(json.dumps(shares), encoding="utf-8")


if __name__ == "__main__":
    main()
