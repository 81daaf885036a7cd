"""Modules in memory: the parameters of a `torch.nn.Module`, which is left unchanged."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from wwopt.weights.formats.mappings import describe_torch
from wwopt.weights.formats.packed_params import PACKED
from wwopt.weights.tensors.adapted import PREFIX, WAY_OUT, AdaptedLayer
from wwopt.weights.tensors.tied import Identities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["adapted_layers", "configuration", "read_module"]

LAYER_TYPES: dict[type[torch.nn.Module], str] = {
    torch.nn.Linear: "dense",
    torch.nn.Embedding: "embedding",
    torch.nn.EmbeddingBag: "embedding",
    torch.nn.Conv1d: "conv1d",
    torch.nn.Conv2d: "conv2d",
    torch.nn.Conv3d: "conv3d",
    torch.nn.ConvTranspose1d: "conv_transpose1d",
    torch.nn.ConvTranspose2d: "conv_transpose2d",
    torch.nn.ConvTranspose3d: "conv_transpose3d",
    torch.nn.Bilinear: "bilinear",
    torch.nn.LayerNorm: "normalization",
    torch.nn.RMSNorm: "normalization",
}
WEIGHT = ("weight", "weight_orig", "weight_v")  # of a layer, also as it is kept by pruning and weight norm
OF_TORCH = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
DORA = re.compile(r"Dora(Linear|Conv[123]d)Variant")  # PEFT's, of weights with a row for each output
PARAMETRIZATIONS = "parametrizations"


def read_module(model: torch.nn.Module) -> Iterator[NamedTensor]:
    """Describe the parameters of a model in the order of its modules; parametrised ones as they take effect.

    Buffers that the model saves follow those of their module; they are known as such.
    """
    identities, buffers = Identities(), Identities()
    for path, module in model.named_modules():
        if PARAMETRIZATIONS in path.split("."):
            continue
        layer_type = next((name for kind, name in LAYER_TYPES.items() if isinstance(module, kind)), None)
        for key, tensor in _parameters(module):
            name = f"{path}.{key}" if path else key
            yield describe_torch(name, tensor, identities, layer_type if key in WEIGHT else None)
        for key, tensor in _beside_codes(module):
            yield describe_torch(f"{path}.{key}" if path else key, tensor, identities)
        for key, tensor in _buffers(module):
            yield replace(describe_torch(f"{path}.{key}" if path else key, tensor, buffers), buffer=True)


def configuration(model: torch.nn.Module) -> dict[str, Any]:
    """Return the type and the number of attention heads of a Hugging Face model; empty for other models."""
    for module in model.modules():
        config = module.__dict__.get("config")
        if config is not None and hasattr(config, "num_attention_heads"):
            return {"model_type": getattr(config, "model_type", ""), "num_attention_heads": config.num_attention_heads}
    return {}


def adapted_layers(model: torch.nn.Module) -> dict[str, AdaptedLayer]:
    """Describe the layers of a PEFT model whose weights are changed by LoRA, by the paths of their modules.

    Raises
    ------
    ValueError
        A layer has an adapter of another kind.
    """
    found = {path: module for path, module in model.named_modules() if "base_layer" in dict(module.named_children())}
    return {path: _adapted(path, module) for path, module in found.items()}


def _adapted(path: str, layer: Any) -> AdaptedLayer:
    names = [] if getattr(layer, "disable_adapters", False) else _active(layer)
    variants = getattr(layer, "lora_variant", None) or {}
    kinds = [type(variants[name]).__name__ for name in names if name in variants]
    special = kinds if len(names) > 1 else [kind for kind in kinds if not DORA.fullmatch(kind)]
    if hasattr(layer, "parameter_name") or (names and not hasattr(layer, "scaling")):
        special.append(f"{type(layer).__module__}.{type(layer).__name__}")
    if special:
        raise ValueError(
            f"{path.removeprefix(PREFIX)} is adapted by {special[0]}, which cannot be merged here. {WAY_OUT}."
        )
    turned = bool(getattr(layer, "fan_in_fan_out", False) or len(getattr(layer, "lora_embedding_A", ())))
    return AdaptedLayer({name: float(layer.scaling[name]) for name in names if name in layer.scaling}, turned)


def _active(layer: Any) -> list[str]:
    """Adapters that change what a layer computes, beyond what is merged into its weights."""
    active = getattr(layer, "active_adapters", getattr(layer, "active_adapter", list(getattr(layer, "lora_A", ()))))
    names = [active] if isinstance(active, str) else active
    done = getattr(layer, "merged_adapters", ())
    return [name for name in names if name not in done]


def _parameters(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for key, parametrization in getattr(module, PARAMETRIZATIONS, {}).items():
        with torch.no_grad():
            yield key, copy.deepcopy(parametrization).eval()()  # in training some change their state when evaluated
    yield from module.named_parameters(recurse=False)
    for key, buffer in module.named_buffers(recurse=False):
        if _is_of_weight(module, key):
            yield key, buffer


def _beside_codes(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what quantised layers keep elsewhere than in their parameters and buffers."""
    if type(module).__module__.startswith(OF_TORCH):
        yield from _unpacked(module)
    for key, parameter in module.named_parameters(recurse=False):
        state: Any = getattr(parameter, "quant_state", None)  # of bitsandbytes, four bits
        parts = state.as_dict(packed=True) if hasattr(state, "as_dict") else {}
        yield from ((f"{key}.{part}", tensor) for part, tensor in parts.items())
        largest = getattr(parameter, "SCB", None)  # of bitsandbytes, eight bits
        largest = getattr(getattr(module, "state", None), "SCB", None) if largest is None else largest
        if key == "weight" and isinstance(largest, torch.Tensor):
            yield "SCB", largest


def _unpacked(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield weights and biases that a quantised layer of PyTorch has packed for the processor."""
    if hasattr(module, PACKED) and callable(getattr(module, "weight", None)):  # a method where it is quantised
        bias = module.bias() if callable(getattr(module, "bias", None)) else None
        yield from (
            (key, tensor) for key, tensor in (("weight", module.weight()), ("bias", bias)) if tensor is not None
        )
    elif hasattr(module, "get_weight") and hasattr(module, "_all_weight_values"):
        yield from module.get_weight().items()


def _buffers(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    passing = module._non_persistent_buffers_set  # noqa: SLF001  (torch tells it nowhere else)
    for key, buffer in module.named_buffers(recurse=False):
        if key not in passing and not _is_of_weight(module, key):
            yield key, buffer


def _is_of_weight(module: torch.nn.Module, key: str) -> bool:
    """Whether a weight is made of a buffer: one of the two vectors of the older spectral norm, or a mask of pruning."""
    name, _, role = key.rpartition("_")
    return role in ("u", "v", "mask") and hasattr(module, f"{name}_orig")
