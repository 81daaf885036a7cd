"""Layers that are trained no further, on request, and can be trained again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wwopt_objectives.training.distributed import is_distributed

if TYPE_CHECKING:
    import torch

__all__ = ["Freezer"]


class Freezer:
    """Freeze layers of a model: their parameters ask for no gradient until they are unfrozen."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._frozen: dict[str, list[torch.nn.Parameter]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Layers that are frozen, in the order in which they were."""
        return tuple(self._frozen)

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze layers, with their biases; parameters that were frozen before are not ours to unfreeze.

        Raises
        ------
        ValueError
            The model has no such layer.
        RuntimeError
            The model is trained by several processes, which would wait for gradients that do not come.
        """
        if is_distributed():
            raise RuntimeError(
                "Layers cannot be frozen while several processes train the model: they would wait for each other's "
                "gradients. Stop, freeze, and wrap the model again."
            )
        for name in names:
            if name not in self._frozen:
                self._frozen[name] = self._off(name)

    def unfreeze(self, names: Iterable[str] | None = None) -> None:
        """Train layers again; all that are frozen where no names are given."""
        for name in tuple(self._frozen) if names is None else names:
            for parameter in self._frozen.pop(name, ()):
                parameter.requires_grad_(True)

    def _off(self, name: str) -> list[torch.nn.Parameter]:
        parameters = self._model.get_submodule(self.key(name)).parameters(recurse=False)
        changed = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in changed:
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimizer would step along an old one, and decay the weights
        return changed

    def key(self, name: str) -> str:
        """Name of the module that holds a layer's parameters; parts of a fused tensor, such as ``attn.q``, share it."""
        parts = name.split(".")
        modules = dict(self._model.named_modules())
        for length in range(len(parts), 0, -1):
            path = ".".join(parts[:length])
            if path in modules and next(modules[path].parameters(recurse=False), None) is not None:
                return path
        if next(self._model.parameters(recurse=False), None) is not None:
            return ""  # the model is the layer
        raise ValueError(f"The model has no layer {name!r}.")
