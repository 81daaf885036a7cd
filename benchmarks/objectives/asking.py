"""Cost of asking a study's networks and of judging its trials: ``python -m benchmarks.objectives.asking``.

The demo's networks are trained with the demo's random settings; asked 512 of the 1,078 training images once, at the
end, as the demo does; and all trials so far are judged at each end, as a tracker or the choice of the weights needs.
Each part is measured by the CPU time of the process, which other programs on the machine hardly change.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import optuna
import torch
from torch import nn

from wwopt.cli.demo.digits import EPOCHS, Trainer, load
from wwopt_objectives import AlphaObjective
from wwopt_objectives.study.judged_trials import judge_trials
from wwopt_objectives.trial.asker import Asker

__all__ = ["main", "measure"]

TARGET = 0.01  # most that asking should take of a training of ordinary size


def measure(trials: int) -> list[tuple[float, float, float]]:
    """Measure a study: seconds of training, of asking and of judging, for each trial."""
    torch.set_num_threads(1)
    training, _ = load()
    measured: list[tuple[float, float, float]] = []
    asker = Asker(training.images)
    with tempfile.TemporaryDirectory() as folder:
        train = Trainer(training, Path(folder), seed=0)

        def timed(trial: optuna.Trial) -> nn.Module:
            start = time.process_time()
            *_, (model, _) = train(trial)
            trained = time.process_time()
            asker.ask(model, trial)
            asked = time.process_time()
            judge_trials(trial.study, ending=trial._get_latest_trial())  # noqa: SLF001
            measured.append((trained - start, asked - trained, time.process_time() - asked))
            return model

        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.NopPruner())
        study.optimize(AlphaObjective(timed, inputs=training.images, artifact_store=False), n_trials=trials + 1)
    return measured[1:]  # the first warms up


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objectives.asking", description=__doc__)
    parser.add_argument("--trials", type=int, default=40, help="in the study (default: %(default)s)")
    options = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    measured = measure(options.trials)
    total = sum(trained for trained, _, _ in measured)
    print(f"{len(measured)} trainings of {EPOCHS} epochs of the demo's 1,078 images, CPU time")
    for name, place in (("asking", 1), ("judging", 2)):
        milliseconds = [1000 * each[place] for each in measured]
        print(
            f"  {name:8s} median {statistics.median(milliseconds):5.1f} ms, last {milliseconds[-1]:5.1f} ms; "
            f"{sum(milliseconds) / 1000 / total:.2%} of the training time (target of asking: below {TARGET:.0%})"
        )


if __name__ == "__main__":
    main()
