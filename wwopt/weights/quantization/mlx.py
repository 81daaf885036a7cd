"""MLX: integers of a few bits in unsigned 32-bit words, with a scale and a bias for each group of inputs."""

from __future__ import annotations

from wwopt.weights.quantization.bundle import Bundle, Restored
from wwopt.weights.quantization.codes import FLOAT4, Exponents, Looked, Unpacked
from wwopt.weights.quantization.scaled import Numbers, Scaled
from wwopt.weights.tensors.coding import Coding

__all__ = ["restore_mlx"]

WORD = 32  # bits
GROUPS = (64, 32, 128, 16)  # its own default first
WIDTHS = (2, 3, 4, 5, 6, 8)


def restore_mlx(bundle: Bundle) -> Restored | None:
    """Restore a weight of MLX; None where the codes are no words with scales beside them."""
    stem, codes = bundle.stem("weight"), bundle.codes
    if stem is None or codes.dtype != "uint32" or len(codes.shape) < 2 or 0 in codes.shape:
        return None
    scales = bundle.need(f"{stem}scales", "its scales")
    if scales.shape[:-1] != codes.shape[:-1] or not scales.shape[-1]:
        raise bundle.unfit(scales, "as many rows")
    group, bits = _layout(bundle, scales.shape[-1])
    shape = (*codes.shape[:-1], scales.shape[-1] * group)
    numbers = Numbers(scales.read, scales.shape, (*(1 for _ in shape[1:]), group))
    unpacked = Unpacked(codes.read, bits, len(shape) - 1, shape[-1])
    parts, name = {scales.name: "its scales"}, f"{stem}weight"
    if scales.dtype == "uint8":
        powers = Numbers(Exponents(scales.read), numbers.shape, numbers.blocks)
        read = Scaled(Looked(unpacked, FLOAT4), shape, powers, name=name)
        return Restored(name, shape, read, Coding(f"MLX, MXFP4, groups of {group}", 4, (1, group)), parts)
    biases = bundle.need(f"{stem}biases", "its biases")
    if biases.shape != scales.shape:
        raise bundle.unfit(biases, f"shape {scales.shape}, as the scales")
    read = Scaled(unpacked, shape, numbers, bias=Numbers(biases.read, numbers.shape, numbers.blocks), name=name)
    parts[biases.name] = "its biases"
    return Restored(name, shape, read, Coding(f"MLX, {bits} bits, groups of {group}", bits, (1, group)), parts)


def _layout(bundle: Bundle, count: int) -> tuple[int, int]:
    """Tell the size of a group and the bits of a code, whose product the shapes tell."""
    product, rest = divmod(bundle.codes.shape[-1] * WORD, count)
    told = bundle.whole("group_size")
    sizes = (*((told,) if told else ()), *GROUPS)
    found = next(
        ((group, product // group) for group in sizes if product % group == 0 and product // group in WIDTHS), None
    )
    if rest or found is None:
        raise bundle.unfit(
            bundle.others[f"{bundle.stem('weight')}scales"], "groups of 16 to 128 of codes of 2 to 8 bits"
        )
    return found
