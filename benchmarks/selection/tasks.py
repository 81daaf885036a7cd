"""The tasks, in two halves that share no data set, and the hyper-parameters drawn for their networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from benchmarks.selection.data import (
    VOCABULARY,
    Data,
    digit_halves,
    digit_holes,
    digit_images,
    digit_kinds,
    digits,
    photo_holes,
    photo_regions,
    snippets,
    tokens,
    windows,
)
from benchmarks.selection.models import (
    CharacterCnn,
    CharacterEncoder,
    CharacterRnn,
    LanguageModel,
    PatchEncoder,
    ResNet,
    VisionTransformer,
    autoencoder,
    cnn,
    grouped_cnn,
    mlp,
    separable_cnn,
)

__all__ = ["TASKS", "Settings", "Task", "draw"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of one network."""

    seed: int
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    batch: int
    epochs: int
    cosine: bool
    dropout: float
    width: int
    depth: int


@dataclass(frozen=True)
class Task:
    """Data, an architecture and the ranges that settings are drawn from.

    ``tuning`` says in which half the task stands: numbers of ours may be chosen on the tuning half only.
    ``version`` changes with the definition; networks of another version are trained again.
    """

    name: str
    says: str
    tuning: bool
    data: Callable[[], Data]
    build: Callable[[Data, Settings], nn.Module]
    epochs: tuple[int, int]
    widths: tuple[int, int] = (64, 64)
    depths: tuple[int, int] = (2, 2)
    batches: tuple[int, ...] = (16, 32, 64, 128)
    version: int = 1


def draw(task: Task, index: int) -> Settings:
    """Settings of the task's network number ``index``; always the same."""
    rng = np.random.default_rng([*task.name.encode(), index])
    optimizer: Literal["sgd", "adamw"] = "sgd" if rng.random() < 0.5 else "adamw"
    return Settings(
        seed=int(rng.integers(2**31)),
        optimizer=optimizer,
        learning_rate=_log_uniform(rng, (1e-3, 1.0) if optimizer == "sgd" else (1e-5, 1e-1)),
        weight_decay=_log_uniform(rng, (1e-6, 1e-1)),
        batch=int(rng.choice(task.batches)),
        epochs=round(_log_uniform(rng, task.epochs)),
        cosine=bool(rng.random() < 0.5),
        dropout=float(rng.uniform(0, 0.5)),
        width=round(_log_uniform(rng, task.widths)),
        depth=int(rng.integers(task.depths[0], task.depths[1] + 1)),
    )


def hyperparameters(settings: Settings) -> dict[str, Any]:
    """Settings, ready for JSON."""
    return asdict(settings)


def _log_uniform(rng: np.random.Generator, ends: Range) -> float:
    return float(math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]))))


def _mlp(data: Data, s: Settings) -> nn.Module:
    return mlp(data.train.x[0].numel(), s.width, s.depth, data.outputs, s.dropout)


def _cnn(data: Data, s: Settings, *, norm: bool) -> nn.Module:
    channels, side = data.train.x.shape[1:3]
    widths = (32, 64, 64) if channels == 1 else (24, 64, 96)
    return cnn((channels, side), widths, data.outputs, s.dropout, norm=norm)


def _language_model(data: Data, s: Settings) -> nn.Module:
    return LanguageModel(s.width, s.depth, VOCABULARY, data.train.x.shape[1], s.dropout)


SNIPPETS = (
    *("_pydecimal", "inspect", "typing", "pydoc", "tarfile"),
    *("doctest", "argparse", "pickletools", "subprocess", "difflib"),
)
CORPUS = (
    *("ast", "configparser", "dataclasses", "enum", "functools", "imaplib", "ipaddress", "mailbox"),
    *("optparse", "os", "pdb", "pickle", "shutil", "smtplib", "statistics", "threading", "traceback"),
)
PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="digits-mlp",
            says="digits, perceptron of 1 to 4 layers and width 64 to 512, clean labels",
            tuning=True,
            data=digits,
            build=_mlp,
            epochs=(8, 32),
            widths=(64, 512),
            depths=(1, 4),
        ),
        Task(
            name="digits-cnn-wrong20",
            says="digits, convolutions with batch norm, 20% wrong labels",
            tuning=True,
            data=lambda: digits(wrong=0.2),
            build=lambda data, s: _cnn(data, s, norm=True),
            epochs=(5, 20),
        ),
        Task(
            name="digits-mlp-few-wrong40",
            says="300 digits, perceptron, 40% wrong labels, long training",
            tuning=True,
            data=lambda: digits((300, 200, 1297), wrong=0.4),
            build=_mlp,
            epochs=(40, 160),
            widths=(100, 200),
            depths=(2, 3),
        ),
        Task(
            name="digits-transformer",
            says="digits, vision transformer of 2 or 3 blocks, clean labels",
            tuning=True,
            data=digits,
            build=lambda data, s: VisionTransformer(s.width, s.depth, data.outputs, s.dropout),
            epochs=(8, 32),
            depths=(2, 3),
            batches=(16, 32, 64),
            version=2,
        ),
        Task(
            name="snippets-mlp",
            says="which of 10 modules of Python's library 100 characters come from, perceptron on hashed triples",
            tuning=True,
            data=lambda: snippets(SNIPPETS, (2500, 500, 3000), length=100, buckets=512),
            build=_mlp,
            epochs=(3, 12),
            widths=(96, 256),
            depths=(2, 3),
        ),
        Task(
            name="digits-cnn-plain-wrong40",
            says="digits, convolutions without norms, 40% wrong labels, long training",
            tuning=True,
            data=lambda: digits((700, 200, 897), wrong=0.4),
            build=lambda data, s: _cnn(data, s, norm=False),
            epochs=(10, 60),
        ),
        Task(
            name="digits-resnet",
            says="digits, residual convolutions with batch norm, 2 to 4 blocks, clean labels",
            tuning=True,
            data=lambda: digits((400, 200, 1197)),
            build=lambda data, s: ResNet(s.depth, data.outputs, s.dropout, channels=1, stride=1),
            epochs=(5, 20),
            depths=(2, 4),
        ),
        Task(
            name="digits-holes",
            says="the middle of a digit from its rim, regression by a perceptron of 2 or 3 layers",
            tuning=True,
            data=digit_holes,
            build=_mlp,
            epochs=(10, 60),
            widths=(96, 384),
            depths=(2, 3),
        ),
        Task(
            name="snippets-lm",
            says="the next character of 10 modules of Python's library, transformer of 1 to 3 blocks",
            tuning=True,
            data=lambda: windows(SNIPPETS, (1600, 128, 384), length=40),
            build=_language_model,
            epochs=(3, 12),
            depths=(1, 3),
            batches=(8, 16, 32),
        ),
        Task(
            name="snippets-conv1d",
            says="the kind of token that a character of 10 modules belongs to, convolutions, clean labels",
            tuning=True,
            data=lambda: tokens(SNIPPETS, (1200, 400, 2000), length=33, wrong=0.0),
            build=lambda data, s: CharacterCnn(VOCABULARY, data.train.x.shape[1], data.outputs, s.dropout),
            epochs=(8, 32),
        ),
        Task(
            name="digits-resnet-wrong40",
            says="digits, residual convolutions with batch norm, 2 or 3 blocks, 40% wrong labels",
            tuning=True,
            data=lambda: digits((700, 200, 897), wrong=0.4),
            build=lambda data, s: ResNet(s.depth, data.outputs, s.dropout, channels=1, stride=1),
            epochs=(8, 32),
            depths=(2, 3),
        ),
        Task(
            name="digits-halves",
            says="the lower half of a digit from the upper, regression by a perceptron of 1 to 4 layers",
            tuning=True,
            data=lambda: digit_halves((900, 200, 697)),
            build=_mlp,
            epochs=(5, 40),
            widths=(64, 512),
            depths=(1, 4),
        ),
        Task(
            name="digits-kinds-groups",
            says="digits in two classes, convolutions with group norm, clean labels",
            tuning=True,
            data=lambda: digit_kinds((600, 200, 997)),
            build=lambda data, s: grouped_cnn(data.outputs, s.dropout),
            epochs=(5, 30),
        ),
        Task(
            name="digits-separable",
            says="digits, depthwise and 1 x 1 convolutions with batch norm, 1 to 3 of each, clean labels",
            tuning=True,
            data=lambda: digits((400, 200, 1197)),
            build=lambda data, s: separable_cnn(1, s.width, s.depth, data.outputs, s.dropout),
            epochs=(5, 30),
            depths=(1, 3),
        ),
        Task(
            name="digits-autoencoder",
            says="digits as they went in, convolutions and transposed convolutions, regression",
            tuning=True,
            data=lambda: digit_images((600, 200, 997)),
            build=lambda _data, _settings: autoencoder(),
            epochs=(5, 30),
        ),
        Task(
            name="snippets-lstm",
            says="the kind of token that a character of 10 modules belongs to, LSTM of 1 or 2 layers, clean labels",
            tuning=True,
            data=lambda: tokens(SNIPPETS, (1200, 400, 2000), length=33, wrong=0.0),
            build=lambda data, s: CharacterRnn(nn.LSTM, s.width, s.depth, data.outputs, s.dropout),
            epochs=(3, 12),
            depths=(1, 2),
        ),
        Task(
            name="snippets-encoder",
            says="the kind of token that a character of 10 modules belongs to, PyTorch's transformer of 1 to 3 blocks",
            tuning=True,
            data=lambda: tokens(SNIPPETS, (1200, 400, 2000), length=33, wrong=0.0),
            build=lambda data, s: CharacterEncoder(s.width, s.depth, 33, data.outputs, s.dropout),
            epochs=(3, 12),
            depths=(1, 3),
        ),
        Task(
            name="photos-cnn",
            says="which of 8 regions of two photographs a tile comes from, convolutions without norms, clean labels",
            tuning=False,
            data=lambda: photo_regions(2, 2, (1600, 400, 1600)),
            build=lambda data, s: _cnn(data, s, norm=False),
            epochs=(4, 16),
        ),
        Task(
            name="photos-resnet-wrong40",
            says="which of 8 regions of two photographs a tile comes from, residual with batch norm, 40% wrong labels",
            tuning=False,
            data=lambda: photo_regions(2, 2, (800, 300, 2000), wrong=0.4),
            build=lambda data, s: ResNet(s.depth, data.outputs, s.dropout),
            epochs=(8, 32),
            depths=(2, 3),
        ),
        Task(
            name="photos-holes",
            says="the middle of a tile from its rim, regression by a perceptron of 1 to 4 layers and width 64 to 512",
            tuning=False,
            data=lambda: photo_holes((2000, 400, 2000)),
            build=_mlp,
            epochs=(5, 20),
            widths=(64, 512),
            depths=(1, 4),
        ),
        Task(
            name="library-lm",
            says="the next character of Python's library, transformer of 2 or 3 blocks",
            tuning=False,
            data=lambda: windows(CORPUS, (1280, 128, 384), length=48),
            build=_language_model,
            epochs=(2, 8),
            depths=(2, 3),
            batches=(8, 16, 32),
        ),
        Task(
            name="tokens-conv1d-wrong20",
            says="the kind of token that a character of Python's library belongs to, convolutions, 20% wrong labels",
            tuning=False,
            data=lambda: tokens(PACKAGES, (1800, 400, 2000), length=33, wrong=0.2),
            build=lambda data, s: CharacterCnn(VOCABULARY, data.train.x.shape[1], data.outputs, s.dropout),
            epochs=(8, 32),
        ),
        Task(
            name="photos-separable-wrong20",
            says="which of 8 regions of two photographs a tile comes from, depthwise convolutions, 20% wrong labels",
            tuning=False,
            data=lambda: photo_regions(2, 2, (800, 300, 2000), wrong=0.2),
            build=lambda data, s: separable_cnn(3, s.width, s.depth, data.outputs, s.dropout),
            epochs=(5, 30),
            depths=(1, 3),
        ),
        Task(
            name="photos-encoder",
            says="which of 8 regions of two photographs a tile comes from, PyTorch's transformer of 1 to 3 blocks",
            tuning=False,
            data=lambda: photo_regions(2, 2, (1600, 400, 1600)),
            build=lambda data, s: PatchEncoder(s.width, s.depth, data.outputs, s.dropout),
            epochs=(4, 16),
            depths=(1, 3),
        ),
        Task(
            name="tokens-gru",
            says="the kind of token that a character of Python's library belongs to, GRU of 1 or 2 layers",
            tuning=False,
            data=lambda: tokens(PACKAGES, (1200, 400, 2000), length=33, wrong=0.0),
            build=lambda data, s: CharacterRnn(nn.GRU, s.width, s.depth, data.outputs, s.dropout),
            epochs=(3, 12),
            depths=(1, 2),
        ),
    )
}
