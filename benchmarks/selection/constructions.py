"""Untrained networks made to look well: ``python -m benchmarks.selection.constructions``.

Good networks of several architectures are trained on digits by different recipes. Beside them stand networks of the
same shape that never saw data: drawn from other distributions, rescaled, with spectra of a power law, with layers made
to read what the one before writes. None of them may have a better score than the worst good network. Half of the
constructions were looked at while limits were chosen (``seen``); the other half has other parameters, and was not
(``kept back``). Prints the table of docs/score.md; takes some minutes.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import wwopt
from benchmarks.selection import models
from benchmarks.selection.data import digits

if TYPE_CHECKING:
    from benchmarks.selection.data import Data

__all__ = [
    "ARCHITECTURES",
    "KINDS",
    "SEEDS",
    "Architecture",
    "construct",
    "good_networks",
    "judge",
    "main",
    "rescaled",
    "scores",
]

SEEDS = {"seen": 1, "kept back": 2}
MEMBERS = 3  # of each kind in each half
WITHIN = 0.02  # of the best test accuracy of an architecture a network is good

Random = np.random.Generator


@dataclass(frozen=True)
class Architecture:
    """Kind of network: how it is built, and how its units are rescaled without a change of its answers."""

    build: Callable[[], nn.Module]
    rescale: Callable[[Any, Callable[[int], Tensor]], None]
    epochs: int


def _rescale_chain(model: nn.Sequential, draw: Callable[[int], Tensor]) -> None:
    """Rescale the units of layers in a row; a batch norm scales its statistics, then its gain against its reader."""
    steps = [layer for layer in model if isinstance(layer, (nn.Linear, nn.Conv2d, nn.BatchNorm2d))]
    for layer, following in itertools.pairwise(steps):
        if isinstance(following, nn.BatchNorm2d):
            _rescale_before_norm(layer, following, draw(following.num_features))
            continue
        factors = draw(len(layer.weight))
        _multiply(layer, factors)
        _divide(following, factors)


def _rescale_residual(model: models.ResNet, draw: Callable[[int], Tensor]) -> None:
    for block in model.blocks:
        _rescale_before_norm(block.conv1, block.norm1, draw(block.conv1.out_channels))
        _rescale_before_norm(block.conv2, block.norm2, draw(block.conv2.out_channels))
        factors = draw(block.conv1.out_channels)
        _multiply(block.norm1, factors)
        _divide(block.conv2, factors)
    _rescale_before_norm(model.stem, model.norm, draw(model.stem.out_channels))
    stream, *_ = [draw(model.stem.out_channels)]
    _multiply(model.norm, stream)
    for block in model.blocks:
        _divide(block.conv1, stream)
        if not isinstance(block.shortcut, nn.Identity):
            _divide(block.shortcut, stream)
            stream = draw(block.conv2.out_channels)
            _multiply(block.shortcut, stream)
        _multiply(block.norm2, stream)
    _divide(model.head, stream)


def _rescale_transformer(model: models.VisionTransformer, draw: Callable[[int], Tensor]) -> None:
    for block in model.blocks:
        size = block.out.in_features
        factors = draw(size)
        _multiply(block.value, factors)
        _divide(block.out, factors)
        factors = draw(size)
        _multiply(block.query, factors)
        block.key.weight.div_(factors[:, None])
        block.key.bias.div_(factors)
        for norm, readers in ((block.norm1, (block.query, block.key, block.value)), (block.norm2, (block.up,))):
            factors = draw(size)
            _multiply(norm, factors)
            for reader in readers:
                _divide(reader, factors)
    factors = draw(model.head.in_features)
    _multiply(model.norm, factors)
    _divide(model.head, factors)


def _rescale_before_norm(layer: nn.Module, norm: nn.BatchNorm2d, factors: Tensor) -> None:
    _multiply(layer, factors)
    norm.running_mean.mul_(factors)
    norm.running_var.mul_(factors**2)


def _multiply(layer: Any, factors: Tensor) -> None:
    layer.weight.mul_(factors.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(factors)


def _divide(layer: Any, factors: Tensor) -> None:
    """Divide the inputs; a dense layer may read each map at several places."""
    places = layer.weight.shape[1] // len(factors)
    layer.weight.div_(factors.repeat_interleave(places).reshape(1, -1, *[1] * (layer.weight.ndim - 2)))


ARCHITECTURES = {
    "perceptron": Architecture(lambda: models.mlp(64, 128, 2, 10, 0.0), _rescale_chain, 40),
    "convolutions, batch norm": Architecture(
        lambda: models.cnn((1, 8), (32, 64, 64), 10, 0.0, norm=True), _rescale_chain, 15
    ),
    "transformer": Architecture(lambda: models.VisionTransformer(64, 2, 10, 0.0), _rescale_transformer, 50),
    "residual, batch norm": Architecture(
        lambda: models.ResNet(3, 10, 0.0, channels=1, stride=1), _rescale_residual, 15
    ),
}

RECIPES = (
    ("AdamW", 1e-3, 0.01, 1.0),
    ("AdamW", 3e-3, 0.1, 2.0),
    ("AdamW", 3e-3, 1.0, 2.0),
    ("AdamW", 1e-2, 0.01, 1.0),
    ("SGD", 0.05, 1e-4, 1.0),
    ("SGD", 0.1, 1e-3, 2.0),
)  # optimizer, learning rate, weight decay, times the epochs


def train(
    model: nn.Module, data: Data, epochs: float, recipe: Sequence[Any], labels: Tensor | None = None
) -> nn.Module:
    """Train a network by a recipe."""
    kind, rate, decay, times = recipe
    if kind == "SGD":
        optimizer: Any = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=decay)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
    x, y = data.train.x, data.train.y if labels is None else labels
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(round(epochs * times)):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, data: Data) -> float:
    """Share of the test set that is answered rightly."""
    return float((model.eval()(data.test.x).argmax(dim=1) == data.test.y).double().mean())


def good_networks(architecture: Architecture, data: Data) -> dict[str, nn.Module]:
    """Networks within two points of the best, by recipe."""
    trained = {}
    for index, recipe in enumerate(RECIPES):
        torch.manual_seed(index)
        trained[f"{recipe[0]} {recipe[1]:g}, decay {recipe[2]:g}"] = train(
            architecture.build(), data, architecture.epochs, recipe
        )
    quality = {name: accuracy(model, data) for name, model in trained.items()}
    return {name: model for name, model in trained.items() if quality[name] >= max(quality.values()) - WITHIN}


@torch.no_grad()
def rescaled(model: nn.Module, architecture: Architecture, sigma: float, rng: Random) -> nn.Module:
    """Rescale the units of a copy, log-normally, so that it answers the same."""
    changed = copy.deepcopy(model).eval()
    architecture.rescale(changed, lambda size: torch.tensor(rng.lognormal(0, sigma, size), dtype=torch.float32))
    return changed


def _uneven(shape: tuple[int, int], rng: Random) -> np.ndarray:
    sigma = rng.uniform(0.3, 1.0)
    return rng.lognormal(0, sigma, (shape[0], 1)) * rng.normal(size=shape) * rng.lognormal(0, sigma, (1, shape[1]))


def _student(shape: tuple[int, int], rng: Random, freedom: float) -> np.ndarray:
    return rng.standard_t(freedom, shape)


def _pareto(shape: tuple[int, int], rng: Random, index: float) -> np.ndarray:
    return rng.pareto(index, shape) * rng.choice([-1, 1], shape)


def _sparse(shape: tuple[int, int], rng: Random, density: float) -> np.ndarray:
    return rng.normal(size=shape) * (rng.random(shape) < density)


def _orthogonal(shape: tuple[int, int], rng: Random, _: float) -> np.ndarray:
    q = np.linalg.qr(rng.normal(size=(max(shape), min(shape))))[0]
    return q if shape[0] >= shape[1] else q.T


def _power_law(shape: tuple[int, int], rng: Random, decay: float) -> np.ndarray:
    u, v = (_orthogonal((side, min(shape)), rng, 0) for side in shape)
    return (u * (np.arange(1, min(shape) + 1) ** -decay)) @ v.T


ELEMENTS: dict[str, tuple[Callable[[tuple[int, int], Random, float], np.ndarray], tuple[float, float]]] = {
    "log-normal rows and columns": (lambda shape, rng, _: _uneven(shape, rng), (0, 0)),
    "Student's t": (_student, (1.5, 5)),
    "Pareto": (_pareto, (1.2, 4)),
    "sparse": (_sparse, (0.02, 0.3)),
    "orthogonal": (_orthogonal, (0, 0)),
    "power law": (_power_law, (0.1, 1.0)),
}
KINDS = ("as drawn", "rescaled", *ELEMENTS, "reads what was written", "last layer scaled")


def construct(kind: str, architecture: Architecture, rng: Random) -> tuple[nn.Module, str]:
    """Make an untrained network of a kind, with parameters that are drawn; returns it and what was drawn."""
    torch.manual_seed(int(rng.integers(2**31)))
    model = architecture.build().eval()
    if kind == "rescaled":
        sigma = rng.uniform(0.2, 2.0)
        return rescaled(model, architecture, sigma, rng), f"{sigma:.2g}"
    if kind in ELEMENTS:
        draw, ends = ELEMENTS[kind]
        value = rng.uniform(*ends)
        for weight in _matrices(model):
            _set(weight, draw((weight.shape[0], weight[0].numel()), rng, value))
        return model, f"{value:.2g}" if value else ""
    if kind == "reads what was written":
        decay = rng.uniform(0.1, 0.6)
        _read_what_was_written(model, decay, rng)
        return model, f"{decay:.2g}"
    if kind == "last layer scaled":
        factor = 10 ** rng.uniform(-3, 3)
        with torch.no_grad():
            list(_matrices(model))[-1].mul_(factor)
        return model, f"{factor:.2g}"
    return model, ""


def _matrices(model: nn.Module) -> Iterator[Tensor]:
    return (module.weight for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d)))


@torch.no_grad()
def _set(weight: Tensor, values: np.ndarray) -> None:
    """Write values of the size that initialisations have."""
    scaled = values * (2 / weight[0].numel()) ** 0.5 / np.sqrt(np.square(values).mean())
    weight.copy_(torch.as_tensor(scaled.reshape(weight.shape)))


def _read_what_was_written(model: nn.Module, decay: float, rng: Random) -> None:
    """Give each width one basis that all layers write and read, in the same order, with a spectrum of a power law."""
    bases: dict[int, np.ndarray] = {}
    for weight in _matrices(model):
        outputs, inputs, places = weight.shape[0], weight.shape[1], weight[0, 0].numel()
        for side in (outputs, inputs):
            bases.setdefault(side, _orthogonal((side, side), rng, 0))
        rank = min(outputs, inputs)
        basis = bases[inputs]
        flattened = next((side for side in bases if 1 < side < inputs and inputs % side == 0 and side == 64), None)
        if isinstance(flattened, int) and inputs > 128:  # a flattened map: each channel at several places
            basis = np.repeat(bases[flattened], inputs // flattened, axis=0) / (inputs // flattened) ** 0.5
            rank = min(outputs, flattened)
        values = np.arange(1, rank + 1) ** -decay
        kernels = rng.normal(size=(rank, places))
        kernels /= np.linalg.norm(kernels, axis=1, keepdims=True)
        _set(weight, np.einsum("or,r,ir,rp->oip", bases[outputs][:, :rank], values, basis[:, :rank], kernels))


def scores(model: nn.Module) -> dict[str, float]:
    """Return each score of a network, lower is better; of its state dict too."""
    module = wwopt.analyze(model, alignment=True, progress=False)
    tensors = wwopt.analyze(model.state_dict(), alignment=True, progress=False)
    return {
        "AlphaScore": wwopt.AlphaScore()(module),
        "AlignmentScore": wwopt.AlignmentScore()(module),
        "ResponseScore": wwopt.ResponseScore()(module),
        "AlphaScore, state dict": wwopt.AlphaScore()(tensors),
        "AlignmentScore, state dict": wwopt.AlignmentScore()(tensors),
    }


def judge(name: str, good: Mapping[str, nn.Module]) -> list[list[str]]:
    """Rows of the table for one architecture: each score of the worst good network and of the best construction."""
    architecture = ARCHITECTURES[name]
    of_good = {recipe: scores(model) for recipe, model in good.items()}
    moved = [
        (of_good[recipe], scores(rescaled(good[recipe], architecture, 0.5, _random(name, recipe)))) for recipe in good
    ]
    best = {half: _constructed(name, half) for half in SEEDS}
    rows = []
    for score in next(iter(of_good.values())):
        values = [each[score] for each in of_good.values()]
        change = max(abs(after[score] / before[score] - 1) for before, after in moved)
        winners = [min(best[half], key=lambda each: each[0][score]) for half in SEEDS]
        rows.append(
            [
                name,
                score,
                f"{min(values):.2f} to {max(values):.2f}",
                *(f"{each[score]:.2f} ({kind})" for each, kind in winners),
                f"{change:.1%}",
            ]
        )
    return rows


def _constructed(name: str, half: str) -> list[tuple[dict[str, float], str]]:
    made = []
    for kind in KINDS:
        rng = _random(half, name, kind)
        made += [(scores(construct(kind, ARCHITECTURES[name], rng)[0]), kind) for _ in range(MEMBERS)]
    return made


def _random(*words: str) -> Random:
    """Random numbers of a half, an architecture and a kind, or of whatever words there are."""
    return np.random.default_rng([SEEDS.get(words[0], 0), *"".join(words[1:]).encode()])


def main(argv: Sequence[str] | None = None) -> None:
    """Train, construct and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selection.constructions", description=__doc__)
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print("| architecture | score | good networks | best construction, seen | kept back | rescaled: change |")
    print("|---|---|---|---|---|---|")
    for name in options.architectures:
        for row in judge(name, good_networks(ARCHITECTURES[name], digits())):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
