"""Train the networks that scores are judged on: ``python -m benchmarks.selection.train``.

Random settings on every task, on the CPU, one process per core. The command can be stopped at any time; started
again, it trains what is missing.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from benchmarks.selection.data import Data, Split
from benchmarks.selection.settings import Settings, draw
from benchmarks.selection.store import EVALUATIONS, FOLDER, number, read_record, write, write_json
from benchmarks.selection.tasks import TASKS, Task

__all__ = ["COUNT_EVALUATIONS", "main", "measure_quality", "missing", "train_network", "training"]

COUNT = 60  # networks of a task
COUNT_EVALUATIONS = 8  # during a training
LOSS_EXAMPLES = 200  # training examples that the loss of an evaluation is the mean of


def train_network(task: Task, index: int, folder: Path) -> None:
    """Train one network, and store its weights at each evaluation and its record, which comes last and ends it."""
    start = time.process_time()
    data, settings = task.data(), draw(task, index)
    torch.manual_seed(settings.seed)
    model = task.build(data, settings)
    evaluations: list[dict[str, Any]] = []
    weights: dict[str, Tensor] = {}
    for step, epochs in enumerate(training(model, data, settings)):
        evaluations.append({"epochs": epochs, **_evaluate(model, data)})
        weights |= {f"{step}/{name}": value.clone() for name, value in model.state_dict().items()}
    stem = folder / task.name / f"{index:03d}"
    write(stem.with_suffix(".safetensors"), lambda path: save_file(weights, path))
    train_loss, _ = measure_quality(model, data.train, data)
    record = {
        "task": task.name,
        "version": task.version,
        "index": index,
        "settings": asdict(settings),
        "parameters": sum(value.numel() for value in model.parameters()),
        "train_loss": number(train_loss),
        "test_quality": number(measure_quality(model, data.test, data)[1]),
        "chance": data.chance,
        "seconds": time.process_time() - start,
        EVALUATIONS: evaluations,
    }
    write_json(stem.with_suffix(".json"), record)


def training(model: nn.Module, data: Data, settings: Settings) -> Iterator[float]:
    """Train, and yield the number of epochs done at each evaluation, the last one at the end."""
    generator = torch.Generator().manual_seed(settings.seed)
    batches = -(-len(data.train.x) // settings.batch)
    steps = settings.epochs * batches
    due = {round(steps * part / COUNT_EVALUATIONS) for part in range(1, COUNT_EVALUATIONS + 1)}
    optimizer, schedule = _optimizer(model, settings, steps)
    alive = True
    for step in range(1, steps + 1):
        if (step - 1) % batches == 0:
            order = torch.randperm(len(data.train.x), generator=generator)
        rows = order[(step - 1) % batches * settings.batch :][: settings.batch]
        if alive:  # weights that are NaN stay NaN
            alive = _step(model, optimizer, data, rows)
            schedule.step()
        if step in due:
            yield step / batches


def _optimizer(model: nn.Module, s: Settings, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    optimizer: torch.optim.Optimizer
    if s.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            model.parameters(), s.learning_rate, momentum=0.9, weight_decay=s.weight_decay, fused=True
        )
    else:
        optimizer = torch.optim.AdamW(model.parameters(), s.learning_rate, weight_decay=s.weight_decay, fused=True)
    if s.cosine:
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, data: Data, rows: Tensor) -> bool:
    """Take a step of training; return whether the loss was a number."""
    model.train()
    loss = _criterion(model(data.train.x[rows]), data.train.y[rows], data.kind)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return bool(torch.isfinite(loss))


def _criterion(output: Tensor, y: Tensor, kind: str) -> Tensor:
    if kind == "values":
        return functional.mse_loss(output, y)
    return functional.cross_entropy(output.flatten(0, -2), y.flatten())


def _evaluate(model: nn.Module, data: Data) -> dict[str, Any]:
    """Measure the losses."""
    train_loss, _ = measure_quality(model, Split(data.train.x[:LOSS_EXAMPLES], data.train.y[:LOSS_EXAMPLES]), data)
    val_loss, val_quality = measure_quality(model, data.val, data)
    return {"train_loss": number(train_loss), "val_loss": number(val_loss), "val_quality": number(val_quality)}


@torch.no_grad()
def measure_quality(model: nn.Module, split: Split, data: Data) -> tuple[float, float]:
    """Loss and quality: accuracy, share of the variance explained, or mean log likelihood in nats."""
    model.eval()
    output = torch.cat([model(part) for part in split.x.split(256)])
    loss = float(_criterion(output, split.y, data.kind))
    if data.kind == "classes":
        return loss, float((output.argmax(dim=1) == split.y).float().mean())
    if data.kind == "values":
        return loss, 1 - loss / float((split.y - data.train.y.mean(dim=0)).square().mean())
    return loss, -loss


def missing(task: Task, count: int, folder: Path) -> list[int]:
    """Numbers of the networks that are not finished, or that another version of the task has trained."""
    records = [read_record(folder / task.name / f"{index:03d}.json") for index in range(count)]
    return [index for index, record in enumerate(records) if not record or record["version"] != task.version]


def _prepare() -> None:
    """Prepare a process: one thread, and interrupts are left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _train_named(name: str, index: int, folder: Path) -> None:
    train_network(TASKS[name], index, folder)


def train_all(names: list[str], count: int, folder: Path, workers: int) -> None:
    """Train what is missing; SIGINT and SIGTERM let the networks under way finish."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    todo = {name: missing(TASKS[name], count, folder) for name in names}
    jobs = [(name, index) for index in range(count) for name in names if index in todo[name]]
    bar = tqdm(total=count * len(names), initial=count * len(names) - len(jobs), unit="network")
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    with bar, ProcessPoolExecutor(workers, get_context("spawn"), _prepare) as pool:
        futures = [pool.submit(_train_named, *job, folder) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            bar.write("Stopped; the same command continues from here.")


def main(argv: list[str] | None = None) -> None:
    """Train the networks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.train", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are stored (default: %(default)s)")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--count", type=int, default=COUNT, help="networks of each task (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    options = parser.parse_args(argv)
    train_all(options.tasks, options.count, options.folder.expanduser(), options.workers)


if __name__ == "__main__":
    main()
