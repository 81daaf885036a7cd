"""`Oriented`: a layer's matrix whose input and output axes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights import leaf_of

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.weights import WeightMatrix

__all__ = ["Oriented", "orient"]

BY_INPUTS = ("embedding", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")  # with a row for each input
BY_OUTPUTS = ("dense", "conv1d", "conv2d", "conv3d", "lstm", "gru", "rnn")
GPT2 = ("c_attn", "q_attn", "c_fc", "c_proj")


@dataclass(frozen=True)
class Oriented:
    """Layer whose input and output axes are known; ``by_inputs`` where it is stored with a row for each input."""

    matrix: WeightMatrix
    by_inputs: bool

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self._sides[0]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self._sides[1]

    def fits(self, width: int) -> bool:
        """Whether it can read a space of this width; a dense layer may read several positions, flattened."""
        return self.inputs == width or (self.matrix.layer_type == "dense" and self.inputs % width == 0)

    def written(self) -> Floats:
        """Return the weights, shape (outputs, everything else)."""
        return self._turned(outputs_first=True)

    def read(self, width: int, *, maps: bool) -> Floats:
        """Return the weights, shape (width, everything else); in flattened maps each channel is contiguous."""
        rows = self._turned(outputs_first=False)
        if maps:
            return rows.reshape(width, -1)
        return rows.reshape(-1, width, rows.shape[1]).swapaxes(0, 1).reshape(width, -1)

    def squares(self) -> Floats:
        """Return the squared elements, summed over the positions of a kernel, over the largest: (outputs, inputs)."""
        with np.errstate(invalid="ignore"):  # what is not finite comes out as NaN
            stack = np.asarray(self.matrix.read(), dtype=np.float64)
            largest = float(np.abs(stack).max())
            total = np.einsum("knm,knm->nm", stack / (largest or 1.0), stack / (largest or 1.0))
        return total if self.outputs_are_rows else np.ascontiguousarray(total.T)

    @property
    def outputs_are_rows(self) -> bool:
        """Whether the rows of the stack are the outputs."""
        return self.matrix.transposed == self.by_inputs

    @property
    def _sides(self) -> tuple[int, int]:
        sides = self.matrix.N, self.matrix.M
        return sides if self.outputs_are_rows else sides[::-1]

    def _turned(self, *, outputs_first: bool) -> Floats:
        stack = np.asarray(self.matrix.read(), dtype=np.float64)
        first = stack if self.outputs_are_rows == outputs_first else stack.swapaxes(1, 2)
        return first.transpose(1, 2, 0).reshape(first.shape[1], -1)


def orient(matrices: Sequence[WeightMatrix]) -> dict[str, Oriented]:
    """Return the layers whose axes are known, by name; GPT-2's dense layers have a row for each input."""
    gpt2 = any(_leaf(matrix.name) == "c_fc" and matrix.transposed for matrix in matrices)
    return {
        matrix.name: Oriented(
            matrix,
            matrix.layer_type in BY_INPUTS
            or leaf_of(matrix.tensor).endswith("kernel")  # of Flax and Keras
            or (gpt2 and _leaf(matrix.name) in GPT2),
        )
        for matrix in matrices
        if matrix.rank is None and matrix.layer_type in (*BY_INPUTS, *BY_OUTPUTS)
    }


def _leaf(name: str) -> str:
    """Last part of a layer's name, before those of its queries, keys and values."""
    parts = name.split(".")
    return parts[-2] if parts[-1] in ("q", "k", "v") and len(parts) > 1 else parts[-1]
