"""Freezing of layers while a model trains, and its undoing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING

from wwopt_objectives.training.distributed import is_distributed

if TYPE_CHECKING:
    import torch

__all__ = ["Freezer"]

PEFT = "base_model.model."  # before the names of a PEFT model's modules, and not of its layers


class Freezer:
    """Freeze layers of a model: their parameters get no gradient until they are unfrozen."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._frozen: dict[str, list[torch.nn.Parameter]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the frozen layers, in the order in which they were frozen."""
        return tuple(self._frozen)

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze layers, with their biases; `unfreeze` leaves alone what the user had frozen before.

        Raises
        ------
        ValueError
            The model has no such layer.
        RuntimeError
            Several processes train the model: they would wait for each other's gradients.
        """
        if is_distributed():
            raise RuntimeError(
                "Layers cannot be frozen while several processes train the model: they would wait for each other's "
                "gradients. Stop, freeze, and wrap the model again."
            )
        for name in names:
            if name not in self._frozen:
                self._frozen[name] = self._freeze_layer(name)

    def unfreeze(self, names: Iterable[str] | None = None) -> None:
        """Unfreeze layers; all that are frozen where no names are given."""
        for name in tuple(self._frozen) if names is None else names:
            for parameter in self._frozen.pop(name, ()):
                parameter.requires_grad_(True)

    def _freeze_layer(self, name: str) -> list[torch.nn.Parameter]:
        module = self._model.get_submodule(self.module_of(name))
        parameters = module.parameters(recurse=_is_adapted(module))
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimizer would step along an old one, and decay the weights
        return trained

    def module_of(self, name: str) -> str:
        """Name of the module that holds a layer's parameters; parts of a fused tensor, such as ``attn.q``, share it."""
        parts = name.split(".")
        modules = dict(self._model.named_modules())
        for prefix, length in product(("", PEFT), range(len(parts), 0, -1)):
            path = prefix + ".".join(parts[:length])
            module = modules.get(path)
            if module is not None and (_is_adapted(module) or next(module.parameters(recurse=False), None) is not None):
                return path
        if next(self._model.parameters(recurse=False), None) is not None:
            return ""  # the model is the layer
        raise ValueError(f"The model has no layer {name!r}.")


def _is_adapted(module: torch.nn.Module) -> bool:
    """Whether PEFT has made several modules of a layer: with adapters, or with a copy that is trained."""
    return not {"base_layer", "modules_to_save"}.isdisjoint(dict(module.named_children()))
