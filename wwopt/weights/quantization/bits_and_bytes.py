"""Four bits of bitsandbytes (NF4 and FP4): codes of a table, with the largest value of each block beside them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.text import one_line
from wwopt.weights.quantization.bundle import Bundle, Restored, UnfitError, numbers_of
from wwopt.weights.quantization.codes import Looked, Unpacked, Viewed
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.dtypes import ITEM_SIZES
from wwopt.weights.tensors.readers import octets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["STATES", "Shifted", "restore_bits_and_bytes"]

STATES = tuple(f".quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4"))
LONGEST_STATE = 1 << 16  # bytes
HIGH_FIRST = (1, 0)  # of the two codes in a byte


@dataclass(frozen=True)
class Shifted:
    """Numbers plus a constant."""

    read: Read
    offset: float

    def __call__(self) -> NDArray[np.float32]:
        """Return the sums."""
        return np.asarray(self.read()).astype(np.float32) + np.float32(self.offset)


def restore_bits_and_bytes(bundle: Bundle) -> Restored | None:
    """Restore a weight of NF4 or FP4; None where no state of its quantisation lies beside the codes."""
    codes, name = bundle.codes, bundle.codes.name
    state_tensor = bundle.beside(*(f"{name}{suffix}" for suffix in STATES))
    if state_tensor is None:
        return None
    try:
        state = _state(state_tensor)
        shape, block = tuple(state["shape"]), state["blocksize"]
        count = _count(shape, block)
        kind = str(state["quant_type"]).upper()[:8]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnfitError(
            f"quantized, and {state_tensor.name!r}{bundle.place()} is not readable: {one_line(error)[:80]}. Download "
            "the file again, or export the model again"
        ) from None
    parts = {state_tensor.name: "its shape and format"}
    words = octets(codes.read, -(-count // 2))
    if words is None or math.prod(codes.shape) * ITEM_SIZES.get(codes.dtype, 0) != -(-count // 2):
        raise bundle.unfit(state_tensor, f"what the weight of shape {shape} is made of, {-(-count // 2)} bytes")
    table = bundle.need(f"{name}.quant_map", "its table of values")
    scales = bundle.need(f"{name}.absmax", "its scales")
    parts |= {table.name: "its table of values", scales.name: "its scales"}
    if table.shape != (16,):
        raise bundle.unfit(table, "16 numbers")
    numbers = numbers_of(_scales(bundle, scales, state, parts), scales.shape, (count,), (block,))
    if numbers is None or scales.shape != (-(-count // block),):
        raise bundle.unfit(scales, f"{-(-count // block)} numbers, one for each {block} values")
    numbers = Numbers(numbers.read, scales.shape, (block,))
    read = Scaled(Looked(Unpacked(words, 4, 0, count, HIGH_FIRST), table.read), (count,), numbers, name=name)
    double = ", its scales quantised" if f"{name}.nested_absmax" in parts else ""
    coding = Coding(f"bitsandbytes {kind}, blocks of {block}{double}", 4, (1, block))
    return Restored(name, shape, Viewed(read, shape), coding, parts)


def _scales(bundle: Bundle, scales: NamedTensor, state: dict[str, Any], parts: dict[str, str]) -> Read:
    """Scales of the blocks, which may be quantised themselves, in eight bits of another table."""
    if scales.dtype != "uint8":
        return scales.read
    name = bundle.codes.name
    table = bundle.need(f"{name}.nested_quant_map", "the table of its scales")
    largest = bundle.need(f"{name}.nested_absmax", "the scales of its scales")
    parts |= {table.name: "the table of its scales", largest.name: "the scales of its scales"}
    block, offset = state.get("nested_blocksize"), state.get("nested_offset")
    if type(block) is not int or block < 1 or not isinstance(offset, (int, float)):
        raise UnfitError(
            f"quantized, and the state of {name!r} does not tell how its scales are quantised{bundle.place()}"
        )
    if table.shape != (256,) or largest.shape != (-(-scales.shape[0] // block),):
        raise bundle.unfit(largest, f"one for each {block} scales, and a table of 256 numbers")
    inner = Numbers(largest.read, largest.shape, (block,))
    return Shifted(Scaled(Looked(scales.read, table.read), scales.shape, inner, name=name), float(offset))


def _count(shape: tuple[Any, ...], block: Any) -> int:
    if not all(type(size) is int and size > 0 for size in (*shape, block)) or len(shape) < 2:
        raise ValueError("a shape or a block that is none")
    return math.prod(shape)


def _state(tensor: NamedTensor) -> dict[str, Any]:
    if tensor.dtype != "uint8" or len(tensor.shape) != 1 or tensor.shape[0] > LONGEST_STATE or tensor.unusable:
        raise ValueError("it is no text")
    state = json.loads(np.asarray(tensor.read()).tobytes())
    if not isinstance(state, dict):
        raise TypeError("it is no object")
    return state
