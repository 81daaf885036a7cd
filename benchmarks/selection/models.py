"""Network architectures in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.selection.data import VOCABULARY

__all__ = [
    "CharacterCnn",
    "CharacterEncoder",
    "CharacterRnn",
    "LanguageModel",
    "PatchEncoder",
    "ResNet",
    "VisionTransformer",
    "autoencoder",
    "cnn",
    "grouped_cnn",
    "mlp",
    "separable_cnn",
]


def mlp(inputs: int, width: int, depth: int, outputs: int, dropout: float) -> nn.Sequential:
    """``depth`` hidden layers of equal width."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size in [inputs, *[width] * (depth - 1)]:
        layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def cnn(shape: tuple[int, int], widths: tuple[int, int, int], outputs: int, dropout: float, *, norm: bool) -> nn.Module:
    """Three convolutions, halving the image after the first two, and two linear layers."""
    channels, side = shape
    layers: list[nn.Module] = []
    for step, width in enumerate(widths):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=not norm)]
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers += [nn.ReLU()] + ([nn.MaxPool2d(2)] if step < 2 else [])
        channels = width
    flat = channels * (side // 4) ** 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(flat, 96), nn.ReLU(), nn.Dropout(dropout), nn.Linear(96, outputs)
    )


def grouped_cnn(outputs: int, dropout: float) -> nn.Sequential:
    """Three convolutions with group norms, the mean of the maps as the features."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1, stride=2), nn.GroupNorm(4, 64), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Dropout(dropout), nn.Linear(64, outputs)),
    )


def separable_cnn(channels: int, width: int, depth: int, outputs: int, dropout: float) -> nn.Sequential:
    """``depth`` depthwise convolutions, each followed by one across channels, all with batch norm."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, outputs))


def autoencoder() -> nn.Sequential:
    """Images of 8 x 8 pixels to 64 numbers and back, by convolutions; the output is a row of pixels."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(64, 64, 2), nn.ReLU(), nn.ConvTranspose2d(64, 64, 2), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(32, 1, 2, stride=2), nn.Flatten()),
    )


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        same = channels == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """A small residual network; ``depth`` blocks."""

    def __init__(self, depth: int, outputs: int, dropout: float, *, channels: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 32, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        wide = [ResidualBlock(32, 64, stride=2), *[ResidualBlock(64, 64, stride=1) for _ in range(depth - 2)]]
        self.blocks = nn.Sequential(ResidualBlock(32, 32, stride=1), *wide)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        maps = self.blocks(functional.relu(self.norm(self.stem(x))))
        return self.head(self.dropout(maps.mean(dim=(2, 3))))


class Block(nn.Module):
    """A transformer block, norms first."""

    def __init__(self, size: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.out = nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        x = x + self.dropout(self._attend(self.norm1(x)))
        return x + self.dropout(self.down(functional.gelu(self.up(self.norm2(x)))))

    def _attend(self, x: Tensor) -> Tensor:
        n, length, size = x.shape
        q, k, v = (
            layer(x).view(n, length, self.heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).reshape(n, length, size))


class VisionTransformer(nn.Module):
    """Patches of 2 x 2 pixels as tokens, the mean of the tokens as the features."""

    def __init__(self, size: int, depth: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, size, 2, stride=2)
        self.places = nn.Parameter(0.02 * torch.randn(16, size))
        self.blocks = nn.Sequential(*[Block(size, 4, dropout, causal=False) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class LanguageModel(nn.Module):
    """A decoder on characters."""

    def __init__(self, size: int, depth: int, vocabulary: int, length: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, size), nn.Embedding(length, size)
        self.blocks = nn.Sequential(*[Block(size, 4, dropout, causal=True) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        embedded = self.tokens(x) + self.places.weight[: x.shape[1]]
        return self.head(self.norm(self.blocks(embedded)))


class CharacterCnn(nn.Module):
    """Embedded characters, two convolutions along the text, two linear layers."""

    def __init__(self, vocabulary: int, length: int, outputs: int, dropout: float) -> None:
        super().__init__()
        places = ((length - 5) // 2 + 1 - 5) // 2 + 1
        self.tokens = nn.Embedding(vocabulary, 64)
        self.conv1, self.conv2 = nn.Conv1d(64, 64, 5, stride=2), nn.Conv1d(64, 96, 5, stride=2)
        self.hidden, self.head = nn.Linear(96 * places, 96), nn.Linear(96, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        maps = functional.relu(self.conv1(self.tokens(x).transpose(1, 2)))
        flat = functional.relu(self.conv2(maps)).flatten(1)
        return self.head(self.dropout(functional.relu(self.hidden(flat))))


class CharacterRnn(nn.Module):
    """Embedded characters, recurrent layers, the mean over the text as the features."""

    def __init__(self, kind: type[nn.RNNBase], size: int, depth: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 64)
        self.recurrent = kind(64, size, depth, batch_first=True)  # type: ignore[arg-type]
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        states, _ = self.recurrent(self.tokens(x))
        return self.head(self.dropout(states.mean(dim=1)))


class CharacterEncoder(nn.Module):
    """PyTorch's own transformer encoder on characters, the mean over the text as the features."""

    def __init__(self, size: int, depth: int, length: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, size), nn.Parameter(0.02 * torch.randn(length, size))
        self.encoder, self.head = _encoder(size, depth, dropout), nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        return self.head(self.encoder(self.tokens(x) + self.places).mean(dim=1))


class PatchEncoder(nn.Module):
    """PyTorch's own transformer encoder on patches of 4 x 4 pixels of an image of 12 x 12."""

    def __init__(self, size: int, depth: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, size, 4, stride=4), nn.Parameter(0.02 * torch.randn(9, size))
        self.encoder, self.head = _encoder(size, depth, dropout), nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs of a batch."""
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2) + self.places).mean(dim=1))


def _encoder(size: int, depth: int, dropout: float) -> nn.TransformerEncoder:
    block = nn.TransformerEncoderLayer(size, 4, 2 * size, dropout, batch_first=True)
    return nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
