"""Real data that every machine has: scikit-learn's digits and photographs, Python's own standard library."""

from __future__ import annotations

import io
import keyword
import sysconfig
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "VOCABULARY",
    "Data",
    "Split",
    "digit_halves",
    "digit_holes",
    "digit_images",
    "digit_imbalance",
    "digit_kinds",
    "digits",
    "photo_holes",
    "photo_regions",
    "snippets",
    "tokens",
    "windows",
]

Kind = Literal["classes", "values", "tokens"]
Array = NDArray[Any]
Sizes = tuple[int, int, int]  # of the training, validation and test set

VOCABULARY = 96  # printable ASCII and the line break
TOKENS = ("COMMENT", "STRING", "OP", "KEYWORD", "NAME")


@dataclass(frozen=True)
class Split:
    """Inputs and targets, in the same order."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Data:
    """A data set; ``chance`` is the test quality of the best constant guess."""

    kind: Kind
    train: Split
    val: Split
    test: Split
    outputs: int
    chance: float


@cache
def digits(sizes: Sizes = (900, 200, 697), *, wrong: float = 0.0, to_next: bool = False) -> Data:
    """Handwritten digits, 8 x 8 grey pixels, 10 classes; a share ``wrong`` of the training labels is wrong.

    At random, or each the label of the next digit.
    """
    images, labels = _digits()
    return _classes(images, labels, sizes, wrong, to_next=to_next)


@cache
def digit_imbalance(many: int = 45, few: int = 8) -> Data:
    """Handwritten digits; two classes have many training examples, the other eight few. The rest is for testing."""
    images, labels = _digits()
    order = np.random.default_rng(0).permutation(len(labels))
    counts = [many, many, *[few] * 8]
    chosen = np.concatenate([order[labels[order] == digit][:count] for digit, count in enumerate(counts)])
    rest = order[~np.isin(order, chosen)]
    rows = (np.random.default_rng(1).permutation(chosen), rest[:200], rest[200:])
    train, val, test = (Split(_floats(images[row]), torch.from_numpy(labels[row])) for row in rows)
    chance = float(np.bincount(labels[rows[2]]).max() / len(rows[2]))
    return Data("classes", train, val, test, outputs=10, chance=chance)


@cache
def digit_kinds(sizes: Sizes) -> Data:
    """Handwritten digits in two classes: even and up to 4 or odd and from 5 on, and the others."""
    images, labels = _digits()
    return _classes(images, (labels % 2) ^ (labels > 4), sizes, wrong=0.0)


@cache
def digit_images(sizes: Sizes) -> Data:
    """Handwritten digits as inputs and as targets."""
    images, _ = _digits()
    return _values(images, images.reshape(-1, 64), sizes)


@cache
def photo_regions(rows: int, columns: int, sizes: Sizes, *, side: int = 12, wrong: float = 0.0) -> Data:
    """Tiles of two photographs; the class is the region that a tile was cut from. No two tiles share a pixel."""
    tiles, places = _tiles(side)
    photo, y, x = places.T
    labels = (photo * rows + np.minimum((y * rows).astype(int), rows - 1)) * columns + (x * columns).astype(int)
    return _classes(tiles, labels.astype(int), sizes, wrong)


@cache
def digit_holes(sizes: Sizes = (600, 200, 997), *, hole: int = 4) -> Data:
    """Handwritten digits without their middle, which is the target."""
    return _holes(_digits()[0], sizes, hole)


@cache
def digit_halves(sizes: Sizes) -> Data:
    """The upper half of handwritten digits; the lower half is the target."""
    halves = _digits()[0].reshape(-1, 2, 32)
    return _values(halves[:, 0], halves[:, 1], sizes)


@cache
def photo_holes(sizes: Sizes, *, side: int = 11, hole: int = 5) -> Data:
    """Tiles of two photographs without their middle, which is the target."""
    return _holes(_tiles(side)[0], sizes, hole)


def _holes(tiles: Array, sizes: Sizes, hole: int) -> Data:
    side = tiles.shape[-1]
    start = (side - hole) // 2
    middle = np.zeros((side, side), dtype=bool)
    middle[start : start + hole, start : start + hole] = True
    x, y = tiles[:, :, ~middle].reshape(len(tiles), -1), tiles[:, :, middle].reshape(len(tiles), -1)
    return _values(x, y, sizes)


@cache
def snippets(modules: Sequence[str], sizes: Sizes, *, length: int, buckets: int) -> Data:
    """Short pieces of Python's standard library, as the logarithm of the counts of hashed triples of characters.

    The class is the module that a piece was cut from.
    """
    pieces = [_pieces(_codes(_text(module)), length) for module in modules]
    most = sum(sizes) // len(modules)
    x = np.concatenate([part[:most] for part in pieces])
    labels = np.concatenate([np.full(min(len(part), most), label) for label, part in enumerate(pieces)])
    return _classes(_hashed(x, buckets), labels, sizes, wrong=0.0)


@cache
def tokens(modules: Sequence[str], sizes: Sizes, *, length: int, wrong: float) -> Data:
    """Characters of Python's standard library; the class is the kind of token that the middle one belongs to.

    Comments, texts, operators, keywords and other names are equally frequent.
    """
    texts = [_text(module) for module in modules]
    codes = np.concatenate([_codes(text) for text in texts])
    kinds = np.concatenate([_token_kinds(text) for text in texts])
    start = np.arange(0, len(codes) - length, length)  # no two pieces share a character
    rng = np.random.default_rng(3)
    labels = kinds[start + length // 2]
    most = -(-sum(sizes) // len(TOKENS))
    chosen = np.concatenate([rng.permutation(start[labels == kind])[:most] for kind in range(len(TOKENS))])
    return _classes(codes[chosen[:, None] + np.arange(length)], kinds[chosen + length // 2], sizes, wrong)


@cache
def windows(modules: Sequence[str], sizes: Sizes, *, length: int) -> Data:
    """Pieces of Python's standard library; the target of each character is the next one."""
    pieces = _pieces(np.concatenate([_codes(_text(module)) for module in modules]), length + 1)
    x, y = pieces[:, :-1], pieces[:, 1:]
    train, val, test = (
        Split(torch.from_numpy(x[rows].copy()), torch.from_numpy(y[rows].copy())) for rows in _split(len(x), sizes)
    )
    counts = np.bincount(train.y.flatten().numpy(), minlength=VOCABULARY) + 1.0
    chance = float(np.log(counts / counts.sum())[test.y.numpy()].mean())
    return Data("tokens", train, val, test, outputs=VOCABULARY, chance=chance)


def _values(x: Array, y: Array, sizes: Sizes) -> Data:
    train, val, test = (Split(_floats(x[rows]), _floats(y[rows])) for rows in _split(len(x), sizes))
    return Data("values", train, val, test, outputs=y.shape[1], chance=0.0)


def _classes(x: Array, labels: Array, sizes: Sizes, wrong: float, *, to_next: bool = False) -> Data:
    rows = _split(len(x), sizes)
    classes = int(labels.max()) + 1
    targets = [labels[rows[0]], labels[rows[1]], labels[rows[2]]]
    targets[0] = _mislabelled(targets[0], classes, wrong, to_next=to_next)
    as_tensor = _floats if np.issubdtype(x.dtype, np.floating) else torch.from_numpy
    pairs = zip(rows, targets, strict=True)
    train, val, test = (Split(as_tensor(x[row]), torch.from_numpy(y)) for row, y in pairs)
    chance = float(np.bincount(targets[2], minlength=classes).max() / len(targets[2]))
    return Data("classes", train, val, test, outputs=classes, chance=chance)


def _floats(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _split(count: int, sizes: Sizes) -> list[Array]:
    if sum(sizes) > count:
        raise ValueError(f"{sum(sizes)} examples were requested; there are {count}.")
    order = np.random.default_rng(0).permutation(count)[: sum(sizes)]
    return np.split(order, np.cumsum(sizes)[:-1])


def _mislabelled(labels: Array, classes: int, share: float, *, to_next: bool = False) -> Array:
    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(labels))[: round(share * len(labels))]
    shifted = labels.copy()
    by = 1 if to_next else rng.integers(1, classes, len(chosen))
    shifted[chosen] = (labels[chosen] + by) % classes
    return shifted


def _digits() -> tuple[Array, Array]:
    """Images of handwritten digits, shape (n, 1, 8, 8), standardised, and which digits they are."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return (images.reshape(-1, 1, 8, 8) - 4.884) / 6.017, labels


@cache
def _tiles(side: int) -> tuple[Array, Array]:
    """Tiles, shape (n, 3, side, side), standardised; photograph and relative position, shape (n, 3)."""
    from sklearn.datasets import load_sample_images

    tiles, places = [], []
    for index, photo in enumerate(load_sample_images().images):
        height, width = photo.shape[0] // side, photo.shape[1] // side
        cut = photo[: height * side, : width * side].reshape(height, side, width, side, 3)
        tiles.append(cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, side, side))
        y, x = np.mgrid[:height, :width].reshape(2, -1)
        places.append(np.stack([np.full(len(y), index), y / height, x / width], axis=1))
    values = np.concatenate(tiles) / 255.0
    mean, std = values.mean(axis=(0, 2, 3), keepdims=True), values.std(axis=(0, 2, 3), keepdims=True)
    return (values - mean) / std, np.concatenate(places)


@cache
def _text(module: str) -> str:
    """Text of a module, or of all modules of a package, in ASCII."""
    place = Path(sysconfig.get_path("stdlib")) / module
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    return text.encode("ascii", errors="replace").decode("ascii")


def _codes(text: str) -> Array:
    """Characters as numbers below `VOCABULARY`."""
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64)
    printable = np.where((codes >= 32) & (codes < 127), codes - 32, ord("?") - 32)
    return np.where(codes == ord("\n"), VOCABULARY - 1, printable)


def _token_kinds(text: str) -> Array:
    """Kind of the token that each character belongs to, an index into `TOKENS`; -1 for the space between."""
    kinds = np.full(len(text), -1)
    starts = np.cumsum([0, *[len(line) for line in text.splitlines(keepends=True)]])
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = "KEYWORD" if keyword.iskeyword(token.string) else tokenize.tok_name[token.type]
        if name in TOKENS:
            first, last = (starts[row - 1] + column for row, column in (token.start, token.end))
            kinds[first:last] = TOKENS.index(name)
    return kinds


def _pieces(codes: Array, length: int) -> Array:
    """All pieces, none overlapping another, in random order."""
    whole = codes[: len(codes) // length * length].reshape(-1, length)
    return np.random.default_rng(2).permutation(whole)


def _hashed(pieces: Array, buckets: int) -> Array:
    triples = (pieces[:, :-2] * VOCABULARY + pieces[:, 1:-1]) * VOCABULARY + pieces[:, 2:]
    slots = (triples * 2_654_435_761 % 2**32) * buckets // 2**32
    counts = np.zeros((len(pieces), buckets))
    np.add.at(counts, (np.arange(len(pieces))[:, None], slots), 1.0)
    logs = np.log1p(counts)
    return (logs - logs.mean()) / logs.std()
