"""Four-bit floats (E2M1), two in a byte: MXFP4, with a power of two for 32 of them, and NVFP4, with FP8 for 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.weights.quantization.bundle import Bundle, Restored, UnfitError
from wwopt.weights.quantization.codes import FLOAT4, Exponents, Looked, Swapped, Unpacked
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.readers import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wwopt.weights.tensors.tensor import NamedTensor, Read

__all__ = ["Product", "restore_four_bit_floats", "restore_mxfp4_blocks"]

BLOCK = {"uint8": 32, "float8_e8m0fnu": 32, "float8_e4m3fn": 16}  # by the type of the scales
OF_INPUTS = ("input_scale", "input_global_scale")


@dataclass(frozen=True)
class Product:
    """Scales of blocks times that of the tensor, or divided by it."""

    scales: Read
    scale: Read
    divided: bool

    def __call__(self) -> NDArray[np.float32]:
        """Return the products, float32."""
        scale = np.asarray(self.scale()).astype(np.float32).ravel()[0]
        scales: NDArray[np.float32] = np.asarray(self.scales()).astype(np.float32)
        with np.errstate(all="ignore"):  # what is not finite stays so
            product: NDArray[np.float32] = scales / scale if self.divided else scales * scale
        return product

    def rows(self, start: int, stop: int) -> Read | None:
        """Return a reader of some rows."""
        return Product(rows(self.scales, 0, start, stop), self.scale, self.divided)


def restore_four_bit_floats(bundle: Bundle) -> Restored | None:
    """Restore a matrix of four-bit floats whose scales tell the kind: MXFP4, or NVFP4 with a scale for the tensor."""
    codes = bundle.codes
    packed, plain = bundle.stem("weight_packed"), bundle.stem("weight")
    stem = packed if packed is not None else plain
    if stem is None or codes.dtype not in ("uint8", "int8", "float4_e2m1fn_x2") or len(codes.shape) < 2:
        return None
    scale = (
        bundle.beside(f"{stem}weight_scale", f"{stem}scale")
        if packed is None
        else bundle.need(f"{stem}weight_scale", "its scales")
    )
    if scale is None or scale.dtype not in BLOCK or 0 in codes.shape:
        return None
    block = BLOCK[scale.dtype]
    shape = (*codes.shape[:-1], 2 * codes.shape[-1])
    if scale.shape != (*shape[:-1], -(-shape[-1] // block)):
        if packed is None:
            return None
        raise bundle.unfit(scale, f"one for each {block} values of a row")
    name = f"{stem}weight"
    tensor_scale, divided = bundle.may(f"{stem}weight_scale_2"), False
    if tensor_scale is None:
        tensor_scale, divided = bundle.may(f"{stem}weight_global_scale"), True
    if tensor_scale is None and block == 16:
        raise UnfitError(
            f"quantized to NVFP4, and the scale of the tensor ({stem}weight_scale_2 or {stem}weight_global_scale) is "
            f"missing{bundle.place()}. Download the file again, or export the model with it"
        )
    parts = {scale.name: "its scales"} | ({tensor_scale.name: "its scale"} if tensor_scale else {})
    parts |= {f"{stem}{leaf}": "of its inputs" for leaf in OF_INPUTS if f"{stem}{leaf}" in bundle.others}
    scales = _powers(scale) if block == 32 else scale.read
    if tensor_scale is not None:
        scales = Product(scales, tensor_scale.read, divided)
    numbers = Numbers(scales, scale.shape, (*(1 for _ in shape[1:]), block))
    read = Scaled(_floats(codes.read, shape), shape, numbers, name=name)
    return Restored(
        name, shape, read, Coding("MXFP4, groups of 32" if block == 32 else "NVFP4, groups of 16", 4, (1, block)), parts
    )


def restore_mxfp4_blocks(bundle: Bundle) -> Restored | None:
    """Restore a stack of experts of gpt-oss: ``X_blocks`` (experts, outputs, groups, 16) and ``X_scales``.

    Its outputs come last, as in the model that is not quantised.
    """
    codes, suffix = bundle.codes, "_blocks"
    name = codes.name.removesuffix(suffix)
    if name == codes.name or codes.dtype != "uint8" or len(codes.shape) < 3 or 0 in codes.shape:
        return None
    scale = bundle.need(f"{name}_scales", "its scales")
    if scale.shape != codes.shape[:-1] or scale.dtype not in ("uint8", "float8_e8m0fnu"):
        raise bundle.unfit(scale, f"shape {codes.shape[:-1]}, bytes")
    size = 2 * codes.shape[-1]
    shape = (*codes.shape[:-2], codes.shape[-2] * size)
    numbers = Numbers(_powers(scale), scale.shape, (*(1 for _ in shape[1:]), size))
    read: Read = Scaled(_floats(codes.read, (*codes.shape[:-1], size)), shape, numbers, name=name)
    block = (1, size)
    if len(shape) == 3:
        shape, read, block = (shape[0], shape[2], shape[1]), Swapped(read, stacked=True), (size, 1)
    return Restored(name, shape, read, Coding(f"MXFP4, groups of {size}", 4, block), {scale.name: "its scales"})


def _powers(scale: NamedTensor) -> Read:
    return Exponents(scale.read) if scale.dtype == "uint8" else scale.read


def _floats(read: Read, shape: tuple[int, ...]) -> Read:
    return Looked(Unpacked(read, 4, len(shape) - 1, shape[-1]), FLOAT4)
