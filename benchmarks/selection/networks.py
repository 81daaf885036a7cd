"""Trained networks: their records, their weights at each evaluation during training, and analyses of these."""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from tqdm.auto import tqdm

import wwopt
from benchmarks.selection.settings import Settings
from benchmarks.selection.store import EVALUATIONS, read_record, write
from wwopt.analysis import Analysis
from wwopt.engine.layer_limit import choose_min_evals
from wwopt.response import probe

if TYPE_CHECKING:
    from benchmarks.selection.tasks import Task

__all__ = ["COLLAPSED", "Network", "analyse", "load_networks", "qualities", "recorded"]

FEW = 32  # analyses that are not worth starting processes for
COLLAPSED = 0.1  # share of the way from chance to the task's best network that a network must exceed


@dataclass(frozen=True)
class Network:
    """A trained network: its task, its record with that one's path, and the analysis of its final weights.

    ``analysis`` is None where the weights were not asked for.
    """

    task: Task
    record: Mapping[str, Any]
    path: Path
    analysis: Analysis | None = None

    def number(self, name: str) -> float:
        """Return a number of the record or of its last evaluation; NaN where training had diverged."""
        value = self.record[name] if name in self.record else self.record[EVALUATIONS][-1][name]
        return math.nan if value is None else float(value)

    @property
    def settings(self) -> Settings:
        """Hyper-parameters."""
        return Settings(**self.record["settings"])

    def model(self, evaluation: int = -1) -> torch.nn.Module:
        """Build the network with its weights at an evaluation during training; the last is of the final weights."""
        prefix = f"{evaluation % len(self.record[EVALUATIONS])}/"
        with safe_open(self.path.with_suffix(".safetensors"), framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  (no mapping)
            state = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
        model = self.task.build(self.task.data(), self.settings)
        model.load_state_dict(state)
        return model.eval()


def qualities(networks: Sequence[Network]) -> tuple[np.ndarray, np.ndarray]:
    """Test quality from 0 (chance) to 1 (the task's best network), and which networks have collapsed.

    Collapsed networks are tied at 0: differences among them are noise.
    """
    raw = np.array([network.number("test_quality") for network in networks])
    chance = float(networks[0].record["chance"])
    way = (np.where(np.isfinite(raw), raw, chance) - chance) / (np.nanmax(raw) - chance)
    collapsed = way <= COLLAPSED
    return np.where(collapsed, 0.0, way), collapsed


def recorded(task: Task, folder: Path) -> list[Network]:
    """All finished networks of a task, not analysed."""
    found = [(path, read_record(path)) for path in sorted((folder / task.name).glob("*.json"))]
    return [Network(task, record, path) for path, record in found if record and record["version"] == task.version]


def load_networks(tasks: Iterable[Task], folder: Path, options: Mapping[str, Any]) -> dict[str, list[Network]]:
    """All finished networks of the tasks; final weights are analysed with ``options`` unless that was done before."""
    networks = {task.name: recorded(task, folder) for task in tasks}
    return {
        name: [
            replace(one, analysis=analysis)
            for one, analysis in zip(group, analyse([(one, -1) for one in group], folder, options), strict=True)
        ]
        for name, group in networks.items()
    }


def analyse(jobs: Sequence[tuple[Network, int]], folder: Path, options: Mapping[str, Any]) -> list[Analysis]:
    """Analyse networks of a task at an evaluation of their training, one process per core, unless that was done before.

    The smallest layers that count are those of a study of such networks: 50 eigenvalues, fewer where a network's
    layers are smaller.
    """
    limits = (choose_min_evals(one.model(), options) for one in {one.path: one for one, _ in jobs}.values())
    options = {"min_evals": min(limits, default=50), **options}
    cache = folder / "analyses" / _fingerprint(options)
    files = [cache / one.task.name / f"{one.path.stem}-{step % len(one.record[EVALUATIONS])}.npz" for one, step in jobs]
    missing = [(*job, file) for job, file in zip(jobs, files, strict=True) if not file.exists()]
    run = partial(_analyse, options=dict(options))
    if len(missing) < FEW:
        deque(map(run, *zip(*missing, strict=True)) if missing else (), maxlen=0)
    else:
        with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            done = pool.map(run, *zip(*missing, strict=True), chunksize=4)
            deque(tqdm(done, desc="analyses", total=len(missing), unit="network"), maxlen=0)
    return [Analysis.load(file) for file in files]


def _analyse(network: Network, evaluation: int, file: Path, options: Mapping[str, Any]) -> None:
    write(file, wwopt.analyze(network.model(evaluation), progress=False, **options).save)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _fingerprint(options: Mapping[str, Any]) -> str:
    """Hash the engine's numbers for fixed weights, so that analyses of another engine are not reused."""
    rng = np.random.default_rng(0)
    samples = {
        "normal.weight": rng.normal(size=(90, 60)),
        "heavy.weight": rng.standard_t(2.5, size=(120, 80)),
        "conv.weight": rng.normal(size=(64, 32, 3, 3)),
    }
    details = wwopt.analyze({name: torch.from_numpy(W) for name, W in samples.items()}, progress=False).details
    rounded = details.map(lambda value: f"{value:.9g}" if isinstance(value, float) else str(value))
    torch_random = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10))
    response = probe(_drawn(model, torch_random))
    answer = f"{response.information:.9g} {response.certainty:.9g}"
    pairs = wwopt.analyze(_drawn(_neighbours(), torch_random), alignment=True, response=False, progress=False).pairs
    content = json.dumps([sorted(map(list, _flat(options))), rounded.to_dict("list"), answer, pairs.round(9).to_csv()])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _neighbours() -> torch.nn.Module:
    """Layers of each kind that the engine matches."""
    return torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 32, 3), torch.nn.Conv2d(32, 32, 3, groups=32), torch.nn.ConvTranspose2d(32, 40, 2)),
        *(torch.nn.Flatten(2), torch.nn.Linear(9, 64), torch.nn.TransformerEncoderLayer(64, 4, 96, batch_first=True)),
        *(torch.nn.GRU(64, 48, batch_first=True), torch.nn.Linear(48, 32)),
    )


def _drawn(model: torch.nn.Module, random: torch.Generator) -> torch.nn.Module:
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return model


def _flat(options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ((name, repr(value)) for name, value in options.items())
