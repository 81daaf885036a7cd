"""Families of architectures: each builds a network for a task's data from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from benchmarks.selection import models
from benchmarks.selection.data import VOCABULARY

if TYPE_CHECKING:
    from benchmarks.selection.data import Data
    from benchmarks.selection.settings import Settings

__all__ = [
    "autoencoder",
    "character_cnn",
    "character_encoder",
    "cnn",
    "cnn_batch_norm",
    "cnn_group_norm",
    "gru",
    "language_model",
    "lstm",
    "mlp",
    "patch_encoder",
    "resnet",
    "separable_cnn",
    "vision_transformer",
]


def mlp(data: Data, s: Settings) -> nn.Module:
    """Perceptron of ``depth`` hidden layers."""
    return models.mlp(data.train.x[0].numel(), s.width, s.depth, data.outputs, s.dropout)


def cnn(data: Data, s: Settings, *, norm: bool = False) -> nn.Module:
    """Three convolutions and two linear layers; wider for images in colour."""
    channels, side = data.train.x.shape[1:3]
    widths = (32, 64, 64) if channels == 1 else (24, 64, 96)
    return models.cnn((channels, side), widths, data.outputs, s.dropout, norm=norm)


def cnn_batch_norm(data: Data, s: Settings) -> nn.Module:
    """`cnn` with batch norm."""
    return cnn(data, s, norm=True)


def cnn_group_norm(data: Data, s: Settings) -> nn.Module:
    """Three convolutions with group norm."""
    return models.grouped_cnn(data.outputs, s.dropout)


def separable_cnn(data: Data, s: Settings) -> nn.Module:
    """Depthwise and 1 x 1 convolutions, ``depth`` of each."""
    return models.separable_cnn(data.train.x.shape[1], s.width, s.depth, data.outputs, s.dropout)


def resnet(data: Data, s: Settings) -> nn.Module:
    """Residual network of ``depth`` blocks; its stem keeps the resolution of images of one channel, which are small."""
    channels = data.train.x.shape[1]
    stride = 1 if channels == 1 else 2
    return models.ResNet(s.depth, data.outputs, s.dropout, channels=channels, stride=stride)


def autoencoder(_data: Data, _settings: Settings) -> nn.Module:
    """Convolutional autoencoder; it has no hyper-parameters of its own."""
    return models.autoencoder()


def vision_transformer(data: Data, s: Settings) -> nn.Module:
    """Vision transformer of ``depth`` blocks."""
    return models.VisionTransformer(s.width, s.depth, data.outputs, s.dropout)


def patch_encoder(data: Data, s: Settings) -> nn.Module:
    """PyTorch's transformer encoder on patches of an image."""
    return models.PatchEncoder(s.width, s.depth, data.outputs, s.dropout)


def language_model(data: Data, s: Settings) -> nn.Module:
    """Decoder on characters."""
    return models.LanguageModel(s.width, s.depth, VOCABULARY, data.train.x.shape[1], s.dropout)


def character_cnn(data: Data, s: Settings) -> nn.Module:
    """Convolutions along embedded characters."""
    return models.CharacterCnn(VOCABULARY, data.train.x.shape[1], data.outputs, s.dropout)


def character_encoder(data: Data, s: Settings) -> nn.Module:
    """PyTorch's transformer encoder on characters."""
    return models.CharacterEncoder(s.width, s.depth, data.train.x.shape[1], data.outputs, s.dropout)


def lstm(data: Data, s: Settings) -> nn.Module:
    """LSTM on characters."""
    return models.CharacterRnn(nn.LSTM, s.width, s.depth, data.outputs, s.dropout)


def gru(data: Data, s: Settings) -> nn.Module:
    """GRU on characters."""
    return models.CharacterRnn(nn.GRU, s.width, s.depth, data.outputs, s.dropout)
