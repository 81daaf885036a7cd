"""Outputs of a module, whatever it returns them in: as rows of numbers, by input and position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["by_position", "output_tensor"]


def output_tensor(output: Any, inputs: int) -> Tensor | None:
    """Return the tensor of floats in an output that has a row for each input; None where there is none.

    In a mapping ``logits`` count first, elsewhere whatever comes first.

    Examples
    --------
    >>> output_tensor({"loss": torch.tensor(0.1), "logits": torch.ones(2, 3)}, 2).shape
    torch.Size([2, 3])
    """
    if isinstance(output, Tensor):
        return output if torch.is_floating_point(output) and output.ndim and len(output) == inputs else None
    if isinstance(output, Mapping):
        output = [output["logits"]] if "logits" in output else list(output.values())
    parts = output if isinstance(output, (list, tuple)) else []
    return next((found for part in parts if (found := output_tensor(part, inputs)) is not None), None)


def by_position(outputs: Tensor, shape: tuple[int, ...] = ()) -> Tensor:
    """Bring outputs into the shape (inputs, positions, outputs), or (inputs, outputs) where there are no positions.

    Parameters
    ----------
    outputs : Tensor, shape (inputs, ...)
        Of images: channels first. Of sequences: channels last, unless the length of the inputs says otherwise.
    shape : tuple of int, optional
        Of one input.

    Examples
    --------
    >>> by_position(torch.ones(2, 3, 4, 4)).shape, by_position(torch.ones(2)).shape
    (torch.Size([2, 16, 3]), torch.Size([2, 1]))
    >>> by_position(torch.ones(2, 5, 9), (1, 9)).shape, by_position(torch.ones(2, 9, 5), (9,)).shape
    (torch.Size([2, 9, 5]), torch.Size([2, 9, 5]))
    """
    if outputs.ndim <= 2:
        return outputs.reshape(len(outputs), -1)
    if len(shape) > 1 and outputs.shape[1:] == shape[1:]:  # a map of single numbers
        return outputs.flatten(1)[..., None]
    if outputs.ndim > 3:
        return outputs.flatten(2).transpose(1, 2)
    last_is_length = len(shape) == 2 and outputs.shape[2] == shape[1] and outputs.shape[1] != shape[0]
    return outputs.transpose(1, 2) if last_is_length else outputs
