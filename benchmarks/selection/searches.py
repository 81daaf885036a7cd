"""Real searches: what a user loses by each way to guide a study and to choose at its end.

``python -m benchmarks.selection.searches`` runs studies of 24 trials on six tasks with three seeds: TPE guided by
`AlphaScore` (with `AlphaPruner`), by the training loss, by both, and random search. At the end of each the trial is
chosen by the score, by the training loss and by `select`, and its test quality is looked up. The command can be
stopped at any time; started again, it runs the searches that are missing. ``--docs docs`` writes the page.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import torch
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from tqdm.auto import tqdm

import wwopt
from benchmarks.selection.answers import probe_inputs
from benchmarks.selection.data import Data, Split
from benchmarks.selection.settings import Settings
from benchmarks.selection.store import FOLDER, read_record, write, write_json
from benchmarks.selection.tables import markdown
from benchmarks.selection.tasks import TASKS, Task
from benchmarks.selection.train import COUNT_EVALUATIONS, measure_quality, training
from wwopt_objectives import AlphaObjective, AlphaPruner, load_best, select

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CHOICES", "GUIDES", "NAMES", "main", "run_search"]

NAMES = (
    "photos-cnn",
    "photos-resnet-wrong40",
    "photos-separable-wrong20",
    "photos-encoder",
    "tokens-conv1d-wrong20",
    "tokens-gru",
)
TRIALS, SEEDS = 24, 3
CHOICES = ("score", "training loss", "select")
LOSS_EXAMPLES = 512


@dataclass(frozen=True)
class Guide:
    """What a search is guided by: the sampler, and the numbers that it minimises."""

    name: str
    sampler: Callable[[int], BaseSampler]
    minimises: tuple[str, ...]


GUIDES = {
    guide.name: guide
    for guide in (
        Guide("AlphaScore", lambda seed: TPESampler(seed=seed, multivariate=True), ("score",)),
        Guide("training loss", lambda seed: TPESampler(seed=seed, multivariate=True), ("loss",)),
        Guide("both", lambda seed: TPESampler(seed=seed, multivariate=True), ("score", "loss")),
        Guide("random", lambda seed: RandomSampler(seed=seed), ("score",)),
    )
}


@dataclass
class Trainings:
    """Trains a task's networks, and remembers what only a benchmark may know: their test quality at each step."""

    task: Task
    seed: int
    device: str
    models: dict[int, nn.Module] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    qualities: dict[int, list[float]] = field(default_factory=dict)

    def __call__(self, trial: optuna.Trial) -> Iterator[tuple[nn.Module, float]]:
        """Yield the model and its training loss at each evaluation."""
        data, settings = self._data(), suggest(trial, self.task, 1000 * self.seed + trial.number)
        torch.manual_seed(settings.seed)
        model = self.models[trial.number] = self.task.build(data, settings).to(self.device)
        self.qualities[trial.number] = []
        sample = Split(data.train.x[:LOSS_EXAMPLES], data.train.y[:LOSS_EXAMPLES])
        for _ in training(model, data, settings):
            self.qualities[trial.number].append(measure_quality(model, data.test, data)[1])
            self.losses[trial.number] = measure_quality(model, sample, data)[0]
            yield model, self.losses[trial.number]

    def _data(self) -> Data:
        data = self.task.data()
        halves = {
            name: Split(part.x.to(self.device), part.y.to(self.device))
            for name, part in (("train", data.train), ("val", data.val), ("test", data.test))
        }
        return replace(data, **halves)


def suggest(trial: optuna.Trial, task: Task, seed: int) -> Settings:
    """Suggest hyper-parameters from the ranges that the task's networks are drawn from; all train equally long."""
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adamw"])
    rate = (1e-3, 1.0) if optimizer == "sgd" else (1e-5, 1e-1)
    return Settings(
        seed=seed,
        optimizer=optimizer,
        learning_rate=trial.suggest_float(f"{optimizer}_learning_rate", *rate, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        batch=trial.suggest_categorical("batch", list(task.batches)),
        epochs=round(math.sqrt(math.prod(task.epochs))),
        cosine=trial.suggest_categorical("cosine", [False, True]),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        width=trial.suggest_int("width", *task.widths, log=True),
        depth=trial.suggest_int("depth", *task.depths),
    )


def run_search(name: str, guide: str, seed: int, folder: Path, device: str = "cpu") -> None:
    """Run a search, choose in every way, and store what was chosen, with the test quality of each trial."""
    task, kind = TASKS[name], GUIDES[guide]
    trainings = Trainings(task, seed, device)
    study = optuna.create_study(
        directions=["minimize"] * len(kind.minimises),
        sampler=kind.sampler(seed),
        pruner=AlphaPruner() if guide == "AlphaScore" else optuna.pruners.NopPruner(),
    )
    find = _search_by_loss if kind.minimises == ("loss",) else _search_by_score
    record = find(study, trainings, folder / "artifacts")
    write_json(_file(folder, name, guide, seed), {"task": name, "guide": guide, "seed": seed, **record})


def _search_by_score(study: optuna.Study, trainings: Trainings, artifacts: Path) -> dict[str, Any]:
    artifacts = artifacts / f"{trainings.task.name}-{os.getpid()}"
    artifacts.mkdir(parents=True, exist_ok=True)
    store = optuna.artifacts.FileSystemArtifactStore(artifacts)
    objective = AlphaObjective(
        trainings,
        inputs=probe_inputs(trainings.task, "training"),
        n_steps=COUNT_EVALUATIONS,
        with_loss=len(study.directions) > 1,
        artifact_store=store,
        keep_n=None,
    )
    study.optimize(objective, n_trials=TRIALS)
    feasible = [
        trial
        for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        if all(value <= 0 for value in trial.constraints.values())
    ]
    chosen = select(study)
    load_best(study, artifact_store=store)
    return {
        "trials": [_quality_that_counts(trainings, trial) for trial in study.trials],
        "epochs": sum(len(one) for one in trainings.qualities.values()) / (COUNT_EVALUATIONS * TRIALS),
        "chosen": {
            "score": min(feasible, key=lambda trial: trial.user_attrs["ww_score"]["score"]).number,
            "training loss": min(feasible, key=lambda trial: _finite(trial.user_attrs.get("train_loss"))).number,
            "select": chosen.number,
        },
        "reason": str(chosen.reason),
    }


def _search_by_loss(study: optuna.Study, trainings: Trainings, _: Path) -> dict[str, Any]:
    def objective(trial: optuna.Trial) -> float:
        return _finite([loss for _, loss in trainings(trial)][-1])

    study.optimize(objective, n_trials=TRIALS)
    models = {str(number): model for number, model in trainings.models.items()}
    losses = {str(number): loss for number, loss in trainings.losses.items()}
    judged = wwopt.rank(models, inputs=probe_inputs(trainings.task, "training"), losses=losses, progress=False)
    return {
        "trials": [one[-1] for one in trainings.qualities.values()],
        "epochs": 1.0,
        "chosen": {
            "score": int(wwopt.rank(models, metric=wwopt.AlphaScore(), progress=False).best),
            "training loss": int(min(losses, key=lambda name: _finite(losses[name]))),
            "select": int(judged.best),
        },
        "reason": judged.reason,
    }


def _quality_that_counts(trainings: Trainings, trial: optuna.trial.FrozenTrial) -> float | None:
    """Test quality of the evaluation that is the trial's result; None where it was pruned before it had one."""
    step = trial.user_attrs.get("ww_step")
    return None if step is None else trainings.qualities[trial.number][step]


def _finite(loss: float | None) -> float:
    return loss if loss is not None and math.isfinite(loss) else 1e9


def _file(folder: Path, name: str, guide: str, seed: int) -> Path:
    return folder / name / f"{guide.replace(' ', '-')}-{seed}.json"


def _prepare() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("wwopt").setLevel(logging.ERROR)


def run_all(names: Sequence[str], seeds: int, folder: Path, workers: int, device: str) -> None:
    """Run the searches that are missing, one process per core."""
    jobs = [(name, guide, seed) for seed in range(seeds) for name in names for guide in GUIDES]
    missing = [job for job in jobs if not _file(folder, *job).exists()]
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="search")
    with bar, ProcessPoolExecutor(workers, get_context("spawn"), _prepare) as pool:
        for future in as_completed([pool.submit(run_search, *job, folder, device) for job in missing]):
            future.result()
            bar.update()


def table(records: Sequence[dict[str, Any]]) -> str:
    """Points lost, mean and worst of the searches, by guide and way to choose; beside them those of the best trial.

    Regret is in points of the way from chance to the best trial that any search on the task has found.
    """
    best = {
        name: max(_known(one) for one in records if one["task"] == name) for name in {one["task"] for one in records}
    }

    def regret(one: dict[str, Any], quality: float) -> float:
        chance = one["chance"]
        return 100 * (best[one["task"]] - quality) / (best[one["task"]] - chance)

    rows = []
    for guide in GUIDES:
        group = [one for one in records if one["guide"] == guide]
        if not group:
            continue
        cells = [[regret(one, one["trials"][one["chosen"][choice]]) for one in group] for choice in CHOICES]
        cells.append([regret(one, _known(one)) for one in group])
        epochs = f"{np.mean([one['epochs'] for one in group]):.0%}"
        rows.append([guide, str(len(group)), epochs, *[f"{np.mean(cell):.1f} / {max(cell):.1f}" for cell in cells]])
    header = ["guided by", "searches", "epochs", *[f"chosen by {choice}" for choice in CHOICES], "its best trial"]
    return markdown(header, rows)


def _table_or_none(records: Sequence[dict[str, Any]]) -> str:
    return table(records) if records else "(none was run)"


def _known(record: dict[str, Any]) -> float:
    return max(quality for quality in record["trials"] if quality is not None and math.isfinite(quality))


def read_searches(folder: Path) -> list[dict[str, Any]]:
    """Read the records of all searches, with the quality of a constant guess."""
    found = [record for path in sorted(folder.glob("*/*.json")) if (record := read_record(path))]
    return [{**record, "chance": TASKS[record["task"]].data().chance} for record in found]


PAGE = """# Real searches: what a user loses

`make evidence-search` wrote this page; it is not edited by hand. Studies of {trials} trials on the tasks of the
[evidence](evidence.md)'s reporting half whose networks train in seconds, {searches} searches in all: TPE guided by
`AlphaScore` (with `AlphaPruner`), by the training loss, by both as two objectives, and random search.

The cells are points of regret, mean / worst over the searches: 100 (best - chosen) / (best - chance), where best is
the best trial that any search on the task has found. *Its best trial*: what the search would lose by if the choice
were perfect. *Epochs*: the share that was trained, the rest was pruned.
{remark}
{whole}

On clean labels:

{clean}

On wrong labels:

{wrong}

Task by task:

{tasks}
"""


def page(records: Sequence[dict[str, Any]], remark: str = "") -> str:
    """Write the page of the searches, with a remark on how they were run."""
    names = dict.fromkeys(one["task"] for one in records)
    return PAGE.format(
        trials=TRIALS,
        searches=len(records),
        remark=f"\n{remark}\n" if remark else "",
        whole=table(records),
        clean=_table_or_none([one for one in records if "wrong" not in one["task"]]),
        wrong=_table_or_none([one for one in records if "wrong" in one["task"]]),
        tasks="\n\n".join(f"`{name}`:\n\n{table([one for one in records if one['task'] == name])}" for name in names),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Search, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.searches", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER / "searches", help="(default: %(default)s)")
    parser.add_argument("--tasks", nargs="+", choices=NAMES, default=NAMES, metavar="TASK", help=", ".join(NAMES))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="searches of each kind (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--device", default="cpu", help="where networks are trained (default: %(default)s)")
    parser.add_argument("--remark", default="", help="a sentence on how they were run, for the page")
    parser.add_argument("--docs", type=Path, help="folder of documents to write the page into")
    options = parser.parse_args(argv)
    folder = options.folder.expanduser()
    run_all(options.tasks, options.seeds, folder, options.workers, options.device)
    text = page(read_searches(folder), options.remark)
    print(text)
    if options.docs:
        write(options.docs / "searches.md", lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
