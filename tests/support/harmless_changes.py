"""Changes after which a network computes the same function, or one as good."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from tests.support.faults import bf16, int8_per_channel, int8_per_tensor

if TYPE_CHECKING:
    from tests.support.faults import State

__all__ = [
    "CONVERSIONS",
    "HARMLESS",
    "Change",
    "cnn_normalised",
    "cnn_relu",
    "cnn_units",
    "minilm_embeddings",
    "minilm_heads",
    "minilm_units",
    "minilm_values",
]

Change = Callable[["State", torch.Generator], "State"]


def minilm_units(state: State, generator: torch.Generator) -> State:
    """Hidden units of every feed-forward layer in another order."""
    state = dict(state)
    for block in _blocks(state):
        order = torch.randperm(len(state[f"{block}.intermediate.dense.weight"]), generator=generator)
        _rows(state, f"{block}.intermediate.dense", order)
        state[f"{block}.output.dense.weight"] = state[f"{block}.output.dense.weight"][:, order]
    return state


def minilm_heads(state: State, generator: torch.Generator) -> State:
    """Attention heads in another order."""
    state = dict(state)
    for block in _blocks(state):
        order = (torch.randperm(12, generator=generator)[:, None] * 32 + torch.arange(32)).flatten()
        for part in ("query", "key", "value"):
            _rows(state, f"{block}.attention.self.{part}", order)
        output = f"{block}.attention.output.dense.weight"
        state[output] = state[output][:, order]
    return state


def minilm_embeddings(state: State, generator: torch.Generator) -> State:
    """All embeddings by one factor, which the normalisation behind their sum removes."""
    factor = _factor(generator)
    return {
        name: W * factor if name.startswith("embeddings") and name.endswith("embeddings.weight") else W
        for name, W in state.items()
    }


def minilm_values(state: State, generator: torch.Generator) -> State:
    """Each value by a factor of its own, which the output layer takes back."""
    state = dict(state)
    for block in _blocks(state):
        factors = torch.exp(0.5 * torch.randn(384, generator=generator))
        for part, factor in (("weight", factors[:, None]), ("bias", factors)):
            state[f"{block}.attention.self.value.{part}"] = state[f"{block}.attention.self.value.{part}"] * factor
        state[f"{block}.attention.output.dense.weight"] = state[f"{block}.attention.output.dense.weight"] / factors
    return state


def cnn_units(state: State, generator: torch.Generator) -> State:
    """Channels and hidden units in another order, through normalisation and flattening."""
    state = dict(state)
    for layer, norm, following in (("conv1", "bn1", "conv2"), ("conv2", "bn2", "conv3"), ("fc1", "", "fc2")):
        order = torch.randperm(len(state[f"{layer}.weight"]), generator=generator)
        _rows(state, layer, order)
        _rows(state, norm, order)
        state[f"{following}.weight"] = state[f"{following}.weight"][:, order]
    order = torch.randperm(64, generator=generator)
    _rows(state, "conv3", order)
    _rows(state, "bn3", order)
    state["fc1.weight"] = state["fc1.weight"].unflatten(1, (64, 4))[:, order].flatten(1)
    return state


def cnn_normalised(state: State, generator: torch.Generator) -> State:
    """A convolution by a factor, which the normalisation behind it removes once its statistics have followed."""
    state, factor = dict(state), _factor(generator)
    number = int(torch.randint(1, 4, (1,), generator=generator))
    for name, power in ((f"conv{number}.weight", 1), (f"conv{number}.bias", 1), (f"bn{number}.running_mean", 1),
                        (f"bn{number}.running_var", 2)):  # fmt: skip
        if name in state:
            state[name] = state[name] * factor**power
    return state


def cnn_relu(state: State, generator: torch.Generator) -> State:
    """Each hidden unit by a factor of its own, which the next layer takes back behind the ReLU."""
    factors = torch.exp(0.5 * torch.randn(128, generator=generator))
    return {
        **state,
        "fc1.weight": state["fc1.weight"] * factors[:, None],
        "fc1.bias": state["fc1.bias"] * factors,
        "fc2.weight": state["fc2.weight"] / factors,
    }


CONVERSIONS: dict[str, Change] = {
    "bf16": lambda state, _: bf16(state),
    "int8 per tensor": lambda state, _: int8_per_tensor(state),
    "int8 per channel": lambda state, _: int8_per_channel(state),
}
HARMLESS: dict[str, dict[str, Change]] = {
    "minilm": {
        **CONVERSIONS,
        "units permuted": minilm_units,
        "heads permuted": minilm_heads,
        "scale removed by a norm": minilm_embeddings,
        "scales taken back": minilm_values,
    },
    "cnn": {
        **CONVERSIONS,
        "units permuted": cnn_units,
        "scale removed by a norm": cnn_normalised,
        "scales taken back": cnn_relu,
    },
}


def _blocks(state: State) -> list[str]:
    suffix = ".intermediate.dense.weight"
    return [name.removesuffix(suffix) for name in state if name.endswith(suffix)]


def _rows(state: State, stem: str, order: torch.Tensor) -> None:
    for name, W in state.items():
        if stem and name.startswith(f"{stem}.") and W.dim():
            state[name] = W[order]


def _factor(generator: torch.Generator) -> float:
    return float(2 + 8 * torch.rand(1, generator=generator))
