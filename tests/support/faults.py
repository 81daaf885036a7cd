"""Faults of a layer, and conversions of a network that do no harm; each returns a changed copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

__all__ = [
    "FAULTS",
    "Damage",
    "State",
    "bf16",
    "damage",
    "everywhere",
    "int4_per_tensor",
    "int8_per_channel",
    "int8_per_tensor",
    "int8_read_with_another_step",
    "int8_step_too_large",
    "int8_step_too_small",
    "one_nan",
    "pruned",
    "quantized",
    "redrawn",
    "reinitialised",
    "rows_permuted",
    "scaled",
    "transposed",
    "truncated",
]

State = dict[str, torch.Tensor]
Damage = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]


def reinitialised(W: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """He's initialisation, drawn anew."""
    fan_in = W[0].numel()
    return torch.as_tensor(rng.normal(size=W.shape) * np.sqrt(2 / fan_in), dtype=W.dtype)


def redrawn(W: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise of the mean and the scale that the layer had."""
    return torch.as_tensor(rng.normal(W.mean().item(), W.std().item(), size=W.shape), dtype=W.dtype)


def quantized(W: torch.Tensor, bits: int, *, factor: float = 1.0, axis: int | None = None) -> torch.Tensor:
    """Round to a symmetric grid of ``bits``, its step ``factor`` times what the largest value needs."""
    top = 2 ** (bits - 1) - 1
    largest = W.abs().amax() if axis is None else W.abs().amax(dim=tuple(range(1, W.dim())), keepdim=True)
    step = (largest / top * factor).clamp_min(1e-12)
    return (W / step).round().clamp(-top, top) * step


def int4_per_tensor(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Four bits for the whole tensor."""
    return quantized(W, 4)


def int8_step_too_large(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Eight bits of which the layer uses five."""
    return quantized(W, 8, factor=10)


def int8_step_too_small(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Eight bits that clip what is larger than a tenth of the largest value."""
    return quantized(W, 8, factor=0.1)


def int8_read_with_another_step(W: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Good integers, multiplied by the wrong step when they are read."""
    return quantized(W, 8) * float(rng.choice([0.5, 2.0, 3.0]))


def pruned(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """The smallest 95% set to zero."""
    limit = W.abs().flatten().kthvalue(max(1, int(0.95 * W.numel())))[0]
    return torch.where(W.abs() > limit, W, 0)


def truncated(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """A tenth of its directions, the leading ones."""
    u, s, vh = torch.linalg.svd(W.flatten(1).double(), full_matrices=False)
    r = max(1, len(s) // 10)
    return (u[:, :r] * s[:r] @ vh[:r]).reshape(W.shape).to(W.dtype)


def transposed(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Inputs and outputs exchanged."""
    return W.transpose(0, 1).contiguous()


def rows_permuted(W: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Outputs in another order, which the next layer does not follow."""
    return W[torch.as_tensor(rng.permutation(len(W)))]


def scaled(W: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Ten times as large."""
    return 10 * W


def one_nan(W: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A single element that is not a number."""
    W = W.clone()
    W.view(-1)[int(rng.integers(W.numel()))] = float("nan")
    return W


FAULTS: dict[str, Damage] = {
    function.__name__: function
    for function in (
        reinitialised, redrawn, int4_per_tensor, int8_step_too_large, int8_step_too_small, int8_read_with_another_step,
        pruned, truncated, transposed, rows_permuted, scaled, one_nan,
    )
}  # fmt: skip


def damage(state: State, layer: str, fault: str, seed: int) -> State:
    """Apply a fault to one layer."""
    key = f"{layer}.weight"
    return {**state, key: FAULTS[fault](state[key], np.random.default_rng(seed))}


def everywhere(state: State, change: Callable[[torch.Tensor], torch.Tensor]) -> State:
    """Change every weight matrix, as a conversion of the whole network does."""
    return {name: change(W) if W.is_floating_point() and W.dim() > 1 else W for name, W in state.items()}


def bf16(state: State) -> State:
    """Rounded to bfloat16, vectors too."""
    return {name: W.bfloat16() if W.is_floating_point() else W for name, W in state.items()}


def int8_per_tensor(state: State) -> State:
    """A step for each tensor."""
    return everywhere(state, lambda W: quantized(W, 8))


def int8_per_channel(state: State) -> State:
    """A step for each output."""
    return everywhere(state, lambda W: quantized(W, 8, axis=0))
