"""The tasks, in two halves that share no data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.selection import families
from benchmarks.selection.data import (
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

if TYPE_CHECKING:
    from torch import nn

    from benchmarks.selection.data import Data
    from benchmarks.selection.settings import Settings

__all__ = ["TASKS", "Task"]


@dataclass(frozen=True)
class Task:
    """Data, a family of architectures and the ranges that settings are drawn from.

    ``tuning`` tells the half of a task: numbers of wwopt's own may be chosen on the tuning half only.
    ``version`` changes with the definition; networks of another version are trained again.
    """

    name: str
    description: str
    data: Callable[[], Data]
    build: Callable[[Data, Settings], nn.Module]
    epochs: tuple[int, int]
    widths: tuple[int, int] = (64, 64)
    depths: tuple[int, int] = (2, 2)
    batches: tuple[int, ...] = (16, 32, 64, 128)
    version: int = 1
    tuning: bool = False


# Modules of Python's standard library that the tasks on text read: of the tuning half, and of the reporting half.
SNIPPETS = ("_pydecimal", "inspect", "typing", "pydoc", "tarfile", "doctest", "argparse", "pickletools", "subprocess",
            "difflib")  # fmt: skip
CORPUS = ("ast", "configparser", "dataclasses", "enum", "functools", "imaplib", "ipaddress", "mailbox", "optparse",
          "os", "pdb", "pickle", "shutil", "smtplib", "statistics", "threading", "traceback")  # fmt: skip
PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")

snippet_tokens = partial(tokens, SNIPPETS, (1200, 400, 2000), length=33, wrong=0.0)
tuned = partial(Task, tuning=True)

# fmt: off
TUNING = (
    tuned("digits-mlp", "digits, perceptron of 1 to 4 layers and width 64 to 512, clean labels",
          digits, families.mlp, epochs=(8, 32), widths=(64, 512), depths=(1, 4)),
    tuned("digits-cnn-wrong20", "digits, convolutions with batch norm, 20% wrong labels",
          partial(digits, wrong=0.2), families.cnn_batch_norm, epochs=(5, 20)),
    tuned("digits-mlp-few-wrong40", "300 digits, perceptron, 40% wrong labels, long training",
          partial(digits, (300, 200, 1297), wrong=0.4), families.mlp, epochs=(40, 160), widths=(100, 200),
          depths=(2, 3)),
    tuned("digits-transformer", "digits, vision transformer of 2 or 3 blocks, clean labels",
          digits, families.vision_transformer, epochs=(8, 32), depths=(2, 3), batches=(16, 32, 64), version=2),
    tuned("snippets-mlp",
          "which of 10 modules of Python's library 100 characters come from, perceptron on hashed triples",
          partial(snippets, SNIPPETS, (2500, 500, 3000), length=100, buckets=512), families.mlp, epochs=(3, 12),
          widths=(96, 256), depths=(2, 3)),
    tuned("digits-cnn-plain-wrong40", "digits, convolutions without norms, 40% wrong labels, long training",
          partial(digits, (700, 200, 897), wrong=0.4), families.cnn, epochs=(10, 60)),
    tuned("digits-resnet", "digits, residual convolutions with batch norm, 2 to 4 blocks, clean labels",
          partial(digits, (400, 200, 1197)), families.resnet, epochs=(5, 20), depths=(2, 4)),
    tuned("digits-holes", "the middle of a digit from its rim, regression by a perceptron of 2 or 3 layers",
          digit_holes, families.mlp, epochs=(10, 60), widths=(96, 384), depths=(2, 3)),
    tuned("snippets-lm", "the next character of 10 modules of Python's library, transformer of 1 to 3 blocks",
          partial(windows, SNIPPETS, (1600, 128, 384), length=40), families.language_model, epochs=(3, 12),
          depths=(1, 3), batches=(8, 16, 32)),
    tuned("snippets-conv1d",
          "the kind of token that a character of 10 modules belongs to, convolutions, clean labels",
          snippet_tokens, families.character_cnn, epochs=(8, 32)),
    tuned("digits-resnet-wrong40",
          "digits, residual convolutions with batch norm, 2 or 3 blocks, 40% wrong labels",
          partial(digits, (700, 200, 897), wrong=0.4), families.resnet, epochs=(8, 32), depths=(2, 3)),
    tuned("digits-halves", "the lower half of a digit from the upper, regression by a perceptron of 1 to 4 layers",
          partial(digit_halves, (900, 200, 697)), families.mlp, epochs=(5, 40), widths=(64, 512), depths=(1, 4)),
    tuned("digits-kinds-groups", "digits in two classes, convolutions with group norm, clean labels",
          partial(digit_kinds, (600, 200, 997)), families.cnn_group_norm, epochs=(5, 30)),
    tuned("digits-separable",
          "digits, depthwise and 1 x 1 convolutions with batch norm, 1 to 3 of each, clean labels",
          partial(digits, (400, 200, 1197)), families.separable_cnn, epochs=(5, 30), depths=(1, 3)),
    tuned("digits-autoencoder", "digits as they went in, convolutions and transposed convolutions, regression",
          partial(digit_images, (600, 200, 997)), families.autoencoder, epochs=(5, 30)),
    tuned("snippets-lstm",
          "the kind of token that a character of 10 modules belongs to, LSTM of 1 or 2 layers, clean labels",
          snippet_tokens, families.lstm, epochs=(3, 12), depths=(1, 2)),
    tuned("snippets-encoder",
          "the kind of token that a character of 10 modules belongs to, PyTorch's transformer of 1 to 3 blocks",
          snippet_tokens, families.character_encoder, epochs=(3, 12), depths=(1, 3)),
)
REPORTING = (
    Task("photos-cnn",
         "which of 8 regions of two photographs a tile comes from, convolutions without norms, clean labels",
         partial(photo_regions, 2, 2, (1600, 400, 1600)), families.cnn, epochs=(4, 16)),
    Task("photos-resnet-wrong40",
         "which of 8 regions of two photographs a tile comes from, residual with batch norm, 40% wrong labels",
         partial(photo_regions, 2, 2, (800, 300, 2000), wrong=0.4), families.resnet, epochs=(8, 32), depths=(2, 3)),
    Task("photos-holes",
         "the middle of a tile from its rim, regression by a perceptron of 1 to 4 layers and width 64 to 512",
         partial(photo_holes, (2000, 400, 2000)), families.mlp, epochs=(5, 20), widths=(64, 512), depths=(1, 4)),
    Task("library-lm", "the next character of Python's library, transformer of 2 or 3 blocks",
         partial(windows, CORPUS, (1280, 128, 384), length=48), families.language_model, epochs=(2, 8),
         depths=(2, 3), batches=(8, 16, 32)),
    Task("tokens-conv1d-wrong20",
         "the kind of token that a character of Python's library belongs to, convolutions, 20% wrong labels",
         partial(tokens, PACKAGES, (1800, 400, 2000), length=33, wrong=0.2), families.character_cnn, epochs=(8, 32)),
    Task("photos-separable-wrong20",
         "which of 8 regions of two photographs a tile comes from, depthwise convolutions, 20% wrong labels",
         partial(photo_regions, 2, 2, (800, 300, 2000), wrong=0.2), families.separable_cnn, epochs=(5, 30),
         depths=(1, 3)),
    Task("photos-encoder",
         "which of 8 regions of two photographs a tile comes from, PyTorch's transformer of 1 to 3 blocks",
         partial(photo_regions, 2, 2, (1600, 400, 1600)), families.patch_encoder, epochs=(4, 16), depths=(1, 3)),
    Task("tokens-gru",
         "the kind of token that a character of Python's library belongs to, GRU of 1 or 2 layers",
         partial(tokens, PACKAGES, (1200, 400, 2000), length=33, wrong=0.0), families.gru, epochs=(3, 12),
         depths=(1, 2)),
)
# fmt: on

TASKS: dict[str, Task] = {task.name: task for task in (*TUNING, *REPORTING)}
