"""GPTQ and AWQ: integers of a few bits in 32-bit words, with scales and zero points for groups of inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from wwopt.weights.quantization.bundle import Bundle, Restored, block_size
from wwopt.weights.quantization.codes import Swapped, Unpacked
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding

if TYPE_CHECKING:
    from wwopt.arrays import Values
    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["GptqZeros", "restore_gptq_awq"]

WORD = 32  # bits
WIDTHS = (2, 3, 4, 8)  # bits of a code
INTERLEAVED = (0, 4, 1, 5, 2, 6, 3, 7)  # where AWQ puts columns 0, 1, 2, ... of eight


@dataclass(frozen=True)
class GptqZeros:
    """Zero points of GPTQ, which its first format keeps less one.

    Attributes
    ----------
    zeros, codes : Unpacked
        As stored, shapes (groups, outputs) and (inputs, outputs).
    less_one : bool or None
        Whether they are kept less one, as far as the configuration tells.
    """

    zeros: Unpacked
    codes: Unpacked
    less_one: bool | None = None

    def __call__(self) -> Values:
        """Return the zero points: symmetric ones are known by their value, others are told or nearest to the codes."""
        stored = self.zeros()
        full = (1 << self.zeros.bits) - 1
        middle = 1 << (self.zeros.bits - 1)
        if (stored == middle).all():
            return stored
        if not (stored == middle - 1).all():
            less_one = self.less_one
            if less_one is None:  # the values of a layer are about 0 in the mean
                less_one = float(self.codes().mean(dtype=np.float64)) - float(stored.mean(dtype=np.float64)) > 0.5
            if not less_one:
                return stored
        return cast("Values", (np.asarray(stored, dtype=np.uint8) + np.uint8(1)) & np.uint8(full))


def restore_gptq_awq(bundle: Bundle) -> Restored | None:
    """Restore a weight of GPTQ or AWQ; None where the codes are no ``qweight``."""
    stem, codes = bundle.stem("qweight"), bundle.codes
    if stem is None or codes.dtype not in ("int32", "uint32"):
        return None
    scales = bundle.need(f"{stem}scales", "its scales")
    if len(codes.shape) != 2 or len(scales.shape) != 2 or 0 in (*codes.shape, *scales.shape):
        raise bundle.unfit(scales, "one for each group of inputs and each output, of a matrix")
    zeros = bundle.may(f"{stem}qzeros")
    groups = bundle.may(f"{stem}g_idx")
    parts = {scales.name: "its scales"}
    parts |= {zeros.name: "its zero points"} if zeros else {}
    parts |= {groups.name: "the groups of its inputs"} if groups else {}
    if codes.shape[1] == scales.shape[1]:
        bits, shape, read, zero = _gptq(bundle, scales, zeros, groups)
    elif codes.shape[1] * 8 == scales.shape[1]:
        bits, shape, read, zero = _awq(bundle, scales, zeros)
        groups = None
    else:
        raise bundle.unfit(scales, "the outputs of GPTQ or AWQ (not of Marlin, ExLlama and others, which reorder them)")
    group = block_size(shape[1], scales.shape[0], bundle.whole("group_size", "q_group_size"))
    if group is None:
        raise bundle.unfit(scales, "groups of one size")
    numbers = Numbers(Swapped(scales.read), scales.shape[::-1], (1, group))
    read_groups = groups.read if groups is not None and groups.shape == (shape[1],) and scales.shape[0] > 1 else None
    name = f"{stem}weight"
    zero_numbers = replace(numbers, read=Swapped(zero)) if zero is not None else float(1 << (bits - 1))
    return Restored(
        name,
        shape,
        Scaled(Swapped(read), shape, numbers, zero_numbers, groups=read_groups, name=name),
        Coding(f"{'AWQ' if read.order else 'GPTQ'}, {bits} bits, groups of {group}", bits, (1, group)),
        parts,
    )


def _gptq(
    bundle: Bundle, scales: NamedTensor, zeros: NamedTensor | None, groups: NamedTensor | None
) -> tuple[int, tuple[int, int], Unpacked, Read | None]:
    """Codes lie along the inputs, and zero points along the outputs."""
    words, outputs = bundle.codes.shape
    told = bundle.whole("bits", "w_bit")
    inputs = groups.shape[0] if groups is not None and len(groups.shape) == 1 and groups.shape[0] else None
    widths = [
        bits
        for bits in WIDTHS
        if (zeros is None or zeros.shape == (scales.shape[0], -(-outputs * bits // WORD)))
        and (inputs is None or -(-inputs * bits // WORD) == words)
        and (zeros is not None or inputs is not None or bits == (told or 4))
    ]
    if not widths:
        raise bundle.unfit(zeros or groups or scales, f"what fits codes of {', '.join(map(str, WIDTHS))} bits")
    bits = told if told in widths else widths[0]
    shape = (outputs, inputs or words * WORD // bits)
    codes = Unpacked(bundle.codes.read, bits, 0, shape[1])
    if zeros is None:
        return bits, shape, codes, None
    version = bundle.setting("checkpoint_format")
    less_one = version != "gptq_v2" if bundle.setting("quant_method", "checkpoint_format") else None
    return bits, shape, codes, GptqZeros(Unpacked(zeros.read, bits, 1, outputs), codes, less_one)


def _awq(
    bundle: Bundle, scales: NamedTensor, zeros: NamedTensor | None
) -> tuple[int, tuple[int, int], Unpacked, Read | None]:
    """Codes and zero points lie along the outputs, eight in a word, interleaved."""
    inputs, words = bundle.codes.shape
    if zeros is not None and zeros.shape != (scales.shape[0], words):
        raise bundle.unfit(zeros, f"shape {(scales.shape[0], words)}")
    codes = Unpacked(bundle.codes.read, 4, 1, words * 8, INTERLEAVED)
    zero = None if zeros is None else replace(codes, words=zeros.read)
    return 4, (words * 8, inputs), codes, zero
