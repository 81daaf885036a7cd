"""Eight bits for each value: floats (FP8, E4M3 or E5M2) and integers, with a scale for the tensor, a row or a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wwopt.weights.quantization.bundle import Bundle, Restored, matrix_block, numbers_of
from wwopt.weights.quantization.codes import Exponents
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding

if TYPE_CHECKING:
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["CODES", "find_scale", "restore_eight_bits"]

FLOATS = {
    f"float8_{kind}": f"FP8 ({kind.removesuffix('fn').upper()})" for kind in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
}
CODES = {**FLOATS, "int8": "int8"}
BITSANDBYTES = "SCB"  # a row's largest value, of which the codes are 127ths
OF_TENSOR = ("_scale", "_scale_inv", ".scale", "_scaling_factor")  # behind the name of the codes
OF_LAYER = ("weight_scale", "weight_scale_inv", "scale_weight", "weights_scaling_factor", "scale",
            "scale_inv", "scales", BITSANDBYTES)  # fmt: skip
ZEROS = ("weight_zero_point", "weight_zero", "zero_point")
ASIDE = ("input_scale", "scale_input", "input_scale_inv", "input_zero_point", "input_global_scale", "output_scale",
         "activation_scale", "activation_scaling_factor", "weight_format", "comfy_quant")  # fmt: skip


def restore_eight_bits(bundle: Bundle) -> Restored | None:
    """Restore a weight of eight-bit floats or integers that has scales beside it; None where it has none."""
    codes = bundle.codes
    if codes.dtype not in CODES or not codes.shape or 0 in codes.shape:
        return None
    name, stem = _names(codes.name)
    scale = find_scale(bundle)
    if scale is None:
        return None
    numbers = _fitted(bundle, bundle.checked(scale))
    zero = bundle.may(*(f"{stem}{leaf}" for leaf in ZEROS), f"{codes.name}_zero_point")
    parts = {scale.name: "its scales"}
    if zero is not None:
        parts[zero.name] = "its zero points"
    parts |= {f"{stem}{leaf}": "of its inputs or its format" for leaf in ASIDE if f"{stem}{leaf}" in bundle.others}
    of_rows = scale.name.rpartition(".")[2] == BITSANDBYTES
    return Restored(
        name,
        codes.shape,
        Scaled(
            codes.read,
            codes.shape,
            numbers,
            None if zero is None else _fitted(bundle, zero),
            factor=1 / 127 if of_rows else 1.0,
            name=name,
        ),
        Coding(
            f"{'bitsandbytes ' if of_rows else ''}{CODES[codes.dtype]}, {_described(numbers)}",
            8,
            matrix_block(numbers.blocks),
        ),
        parts,
    )


def find_scale(bundle: Bundle) -> NamedTensor | None:
    """Find the scales of eight-bit codes, under any of their names."""
    name, stem = _names(bundle.codes.name)
    quanto = (f"{bundle.codes.name.removesuffix('_data')}_scale",) if bundle.codes.name.endswith("._data") else ()
    of_layer = tuple(f"{stem}{leaf}" for leaf in OF_LAYER) if name.endswith("weight") else ()
    return bundle.beside(*quanto, *(f"{name}{suffix}" for suffix in OF_TENSOR), *of_layer)


def _names(codes: str) -> tuple[str, str]:
    """Name of the weight, and what the names beside it begin with."""
    name = codes.removesuffix("._data")  # of quanto
    return name, name.removesuffix("weight")


def _fitted(bundle: Bundle, tensor: NamedTensor) -> Numbers:
    weight = bundle.codes.shape
    told = bundle.setting("weight_block_size", "block_structure")
    told = tuple(size if type(size) is int and size > 0 else None for size in told) if isinstance(told, list) else ()
    if len(told) < len(weight):
        told = (*(None for _ in weight[len(told) :]), *told)
    read = Exponents(tensor.read) if tensor.dtype == "uint8" and tensor.name.endswith("scale") else tensor.read
    numbers = numbers_of(read, tensor.shape, weight, told)
    if numbers is None:
        raise bundle.unfit(tensor, "one number, one for each row, or one for each block of rows and columns")
    return numbers


def _described(numbers: Numbers) -> str:
    sizes = [
        1 if count > 1 and block == 1 else block for block, count in zip(numbers.blocks, numbers.shape, strict=True)
    ]
    if all(count == 1 for count in numbers.shape):
        return "a scale for the tensor"
    if sizes[0] == 1 and all(count == 1 for count in numbers.shape[1:]):
        return "a scale for each row"
    return f"a scale for each block of {' x '.join(map(str, sizes))}"
