"""Trained networks: their records, analyses of the final weights, and evaluations during training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm.auto import tqdm

import wwopt
from benchmarks.selection.settings import Settings
from benchmarks.selection.store import EVALUATIONS, read_evaluations, read_record, write
from wwopt.analysis import Analysis
from wwopt.response import probe

if TYPE_CHECKING:
    from benchmarks.selection.tasks import Task

__all__ = ["COLLAPSED", "Network", "load_networks", "qualities"]

COLLAPSED = 0.1  # share of the way from chance to the task's best network that a network must exceed


@dataclass(frozen=True)
class Network:
    """A trained network: its record, the analysis of its final weights, and the path of its record."""

    record: Mapping[str, Any]
    analysis: Analysis
    path: Path

    def number(self, name: str) -> float:
        """Return a number of the record or of its last evaluation; NaN where training had diverged."""
        value = self.record[name] if name in self.record else self.record[EVALUATIONS][-1][name]
        return math.nan if value is None else float(value)

    @property
    def settings(self) -> Settings:
        """Hyper-parameters."""
        return Settings(**self.record["settings"])

    def evaluations(self) -> list[Analysis]:
        """Read the analyses that were made during training; the last is of the final weights."""
        return read_evaluations(self.record, self.path.with_suffix(".npz"))


def qualities(networks: Sequence[Network]) -> tuple[np.ndarray, np.ndarray]:
    """Test quality from 0 (chance) to 1 (the task's best network), and which networks have collapsed.

    Collapsed networks are tied at 0: differences among them are noise.
    """
    raw = np.array([network.number("test_quality") for network in networks])
    chance = float(networks[0].record["chance"])
    way = (np.where(np.isfinite(raw), raw, chance) - chance) / (np.nanmax(raw) - chance)
    collapsed = way <= COLLAPSED
    return np.where(collapsed, 0.0, way), collapsed


def load_networks(task: Task, folder: Path, options: Mapping[str, Any]) -> list[Network]:
    """All finished networks of a task; weights are analysed with ``options`` unless that was done before."""
    found = [
        (path, record)
        for path in sorted((folder / task.name).glob("*.json"))
        if (record := read_record(path)) and record["version"] == task.version
    ]
    if not found:
        return []
    cache = folder / "analyses" / _fingerprint(options)
    bar = tqdm(found, desc=task.name, unit="network", delay=1, leave=False)
    return [Network(record, _analysis(task, record, path, cache, options), path) for path, record in bar]


def _analysis(task: Task, record: Mapping[str, Any], path: Path, cache: Path, options: Mapping[str, Any]) -> Analysis:
    saved = cache / task.name / f"{path.stem}.npz"
    if saved.exists():
        return Analysis.load(saved)
    model = task.build(task.data(), Settings(**record["settings"]))
    model.load_state_dict(load_file(path.with_suffix(".safetensors")))
    analysis = wwopt.analyze(model, progress=False, **options)
    write(saved, analysis.save)
    return analysis


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
