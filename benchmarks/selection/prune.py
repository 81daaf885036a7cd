"""Replay pruners over the stored trainings: ``python -m benchmarks.selection.prune``.

Every pruner sees the same trainings in the same order, as real Optuna trials; nothing is trained. Prints the
tables and stores the numbers as ``pruning.json`` in the folder; ``--docs docs`` also writes ``docs/evidence.md``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from tqdm.auto import tqdm

from benchmarks.selection.networks import Network, analyse, qualities, recorded
from benchmarks.selection.store import EVALUATIONS, FOLDER, write_json
from benchmarks.selection.tables import pruning_tables
from benchmarks.selection.tasks import TASKS
from wwopt import AlphaScore
from wwopt_objectives import AlphaPruner
from wwopt_objectives.study.attributes import STATE
from wwopt_objectives.trial.training_state import update_state

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["PRUNERS", "Contender", "Training", "main", "read_trainings", "replay"]

SEARCHES, SIZE = 20, 32  # random searches of some of the trainings, besides the one of all
DIVERGED = 1e9  # a number that a pruner can compare, instead of NaN


@dataclass(frozen=True)
class Contender:
    """A pruner and the number that it prunes by and that the network is chosen by."""

    name: str
    sees: str
    make: Callable[[int], BasePruner]
    signal: str


PRUNERS = (
    Contender("AlphaPruner", "weights", lambda _: AlphaPruner(), "score"),
    Contender("MedianPruner on the score", "weights", lambda _: MedianPruner(), "score"),
    Contender(
        "SuccessiveHalving on the score",
        "weights",
        lambda _: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        "score",
    ),
    Contender("Hyperband on the score", "weights", lambda count: HyperbandPruner(1, count, 2), "score"),
    Contender("MedianPruner on the validation loss", "data", lambda _: MedianPruner(), "val_loss"),
)


@dataclass(frozen=True)
class Training:
    """What a pruner sees at each evaluation of a training, and the network's test quality."""

    epochs: list[float]
    signals: dict[str, list[float]]
    states: list[dict[str, Any]]
    quality: float


def read_trainings(networks: Sequence[Network], folder: Path) -> list[Training]:
    """Read stored trainings of a task; weights are analysed unless that was done before."""
    steps = [range(len(one.record[EVALUATIONS])) for one in networks]
    jobs = [(one, step) for one, count in zip(networks, steps, strict=True) for step in count]
    analyses = iter(analyse(jobs, folder, AlphaScore.requires))
    return [
        _training(one, [next(analyses) for _ in count], quality)
        for one, count, quality in zip(networks, steps, qualities(networks)[0], strict=True)
    ]


def _training(network: Network, analyses: Sequence[Analysis], quality: float) -> Training:
    scores = [AlphaScore()(analysis) for analysis in analyses]
    states: list[dict[str, Any]] = []
    for step, (analysis, score) in enumerate(zip(analyses, scores, strict=True)):
        states.append(update_state(states[-1] if states else None, analysis, score, step, len(analyses)))
    stored = network.record[EVALUATIONS]
    losses = [DIVERGED if one["val_loss"] is None else min(one["val_loss"], DIVERGED) for one in stored]
    return Training([one["epochs"] for one in stored], {"score": scores, "val_loss": losses}, states, quality)


def replay(trainings: Sequence[Training], contender: Contender) -> dict[str, Any]:
    """Run a study over the trainings; return epochs used, quality of the choice, and reasons of pruning."""
    pruner = contender.make(len(trainings[0].epochs))
    study = optuna.create_study(direction="minimize", pruner=pruner, study_name=contender.name)
    used, reasons, finished = 0.0, Counter[str](), {}
    for training in trainings:
        trial = study.ask()
        reason, epochs = _run(study, trial, training, contender)
        used += epochs
        if reason is None:
            trial.set_user_attr(STATE, training.states[-1])
            study.tell(trial, training.signals[contender.signal][-1])
            finished[trial.number] = training
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            reasons[reason] += 1
    chosen = min(finished.values(), key=lambda training: training.signals[contender.signal][-1], default=None)
    return {
        "epochs": used / sum(training.epochs[-1] for training in trainings),
        "quality": chosen.quality if chosen else 0.0,
        "finished": len(finished),
        "reasons": dict(reasons),
    }


def _run(
    study: optuna.Study, trial: optuna.Trial, training: Training, contender: Contender
) -> tuple[str | None, float]:
    """Report each evaluation; return the reason of pruning, if any, and the epochs used."""
    for step, epochs in enumerate(training.epochs[:-1]):  # after the last evaluation there is nothing to save
        trial.set_user_attr(STATE, training.states[step])
        trial.report(training.signals[contender.signal][step], step)
        if trial.should_prune():
            return _reason(study, trial), epochs
    return None, training.epochs[-1]


def _reason(study: optuna.Study, trial: optuna.Trial) -> str:
    if not isinstance(study.pruner, AlphaPruner):
        return "pruned"
    frozen = study.get_trials(deepcopy=False)[trial.number]
    return str(study.pruner.reason(study, frozen)).partition(":")[0]


def unpruned(trainings: Sequence[Training], signal: str) -> float:
    """Quality of the network that is chosen where every training runs to its end."""
    return min(trainings, key=lambda training: training.signals[signal][-1]).quality


def compare(trainings: Sequence[Training], contender: Contender) -> dict[str, Any]:
    """Replay the search over all trainings and random searches over some of them."""
    whole = replay(trainings, contender)
    rng = np.random.default_rng(0)
    size = min(SIZE, len(trainings))
    groups = [[trainings[row] for row in rng.permutation(len(trainings))[:size]] for _ in range(SEARCHES)]
    searches = [(replay(group, contender), unpruned(group, contender.signal)) for group in groups]
    lost = [100 * (quality - result["quality"]) for result, quality in searches]
    return {
        **whole,
        "lost": 100 * (unpruned(trainings, contender.signal) - whole["quality"]),
        "search_epochs": float(np.mean([result["epochs"] for result, _ in searches])),
        "search_lost": float(np.mean(lost)),
        "search_lost_worst": float(np.max(lost)),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Replay, print and store."""
    from benchmarks.selection.document import write_document

    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.prune", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the networks are (default: %(default)s)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--docs", type=Path, help="folder of documents to write the evidence into")
    options = parser.parse_args(argv)
    folder = options.folder.expanduser()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainings = {}
    for name in options.tasks:
        networks = recorded(TASKS[name], folder)
        if len(networks) > 1:
            trainings[name] = read_trainings(networks, folder)
    if not trainings:
        parser.error(f"no networks in {folder}; run python -m benchmarks.selection.train first.")
    rows = [
        {
            "name": contender.name,
            "sees": contender.sees,
            "tasks": {name: compare(group, contender) for name, group in trainings.items()},
        }
        for contender in tqdm(PRUNERS, unit="pruner", leave=False)
    ]
    result = {"tasks": {name: len(group) for name, group in trainings.items()}, "pruners": rows}
    write_json(folder / "pruning.json", result)
    print(pruning_tables(result))
    if options.docs:
        write_document(folder, options.docs)


if __name__ == "__main__":
    main()
