"""`restore_quantized`: the tensors of a source with its quantised weights as the weights that they stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.quantization.bits_and_bytes import STATES, restore_bits_and_bytes
from wwopt.weights.quantization.bundle import Bundle, Restored, UnfitError
from wwopt.weights.quantization.eight_bits import CODES, find_scale, restore_eight_bits
from wwopt.weights.quantization.four_bit_floats import restore_four_bit_floats, restore_mxfp4_blocks
from wwopt.weights.quantization.gptq_awq import restore_gptq_awq
from wwopt.weights.quantization.mlx import restore_mlx
from wwopt.weights.quantization.packed import restore_packed
from wwopt.weights.tensors.readers import InArray, octets, rows

if TYPE_CHECKING:
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["restore_quantized"]

FAMILIES: tuple[Callable[[Bundle], Restored | None], ...] = (
    restore_gptq_awq,
    restore_packed,
    restore_bits_and_bytes,
    restore_four_bit_floats,
    restore_mxfp4_blocks,
    restore_mlx,
    restore_eight_bits,
)
CODE_TYPES = {*CODES, "uint8", "int32", "uint32", "float4_e2m1fn_x2"}
LEAVES = (
    *("scales", "biases", "qzeros", "g_idx", "SCB", "weight_format"),
    *("weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_zero_point", "weight_shape"),
    *("weight_g_idx", "scale_weight", "scale_input", "input_scale", "input_global_scale", "input_zero_point"),
    *("weight.absmax", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map"),
    *(f"weight.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4")),
    *("comfy_quant", "codebooks", "zero", "scale", "meta", "weight_scales"),
)
LARGEST = {"float8_e4m3fn": 0x7E, "float8_e5m2": 0x7B, "float8_e4m3fnuz": 0x7F, "float8_e5m2fnuz": 0x7F}  # finite
LOOKED_AT = 3  # tensors of eight-bit floats
WITH_SCALES = ("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt")  # methods, as config.json has them
ALONE = re.compile(
    r"(.*\.)?(weight_scale(_inv|_2)?|weight_global_scale|weight_zero_point|scale_weight|scale_input|qzeros|g_idx|SCB"
    r"|input_scale|input_global_scale|weight\._(scale|shift)|weight\.(nested_)?(absmax|quant_map)|scaled_fp8)"
)
UNREAD = {"q_weight": "ExLlama", "W_q": "HQQ", "Qidxs": "QuIP#", "codes": "AQLM", "weight_packed": "an unknown format"}
BESIDE = "which cannot be read"
ORPHAN = "its codes are not there"
EMPTY = "its values were never written. Download the file again, or quantise the model again"
WORDS = ("int32", "uint32", "uint8")
NOTHING = InArray(np.empty((0, 0)))


def restore_quantized(
    tensors: Sequence[NamedTensor], config: Mapping[str, Any] | None = None
) -> tuple[list[NamedTensor], list[tuple[str, str]]]:
    """Replace the codes of quantised weights by the weights, which are decoded when they are read.

    Parameters
    ----------
    tensors : sequence of NamedTensor
        All tensors of the source.
    config : mapping, optional
        The model's ``config.json``, which may tell how it was quantised.

    Returns
    -------
    list of NamedTensor
        Weights, and the tensors that have nothing to do with quantised ones. A weight whose tensors do not fit each
        other is unusable, with that reason.
    list of (str, str)
        Tensors that are a part of a quantised weight, and of what.
    """
    others = {tensor.name: tensor for tensor in tensors}
    codes = [tensor for tensor in tensors if tensor.dtype in CODE_TYPES or _has_state(tensor, others)]
    if not codes:
        return list(tensors), []
    settings = _settings(config or {})
    scaled = _has_scales(tensors, others, settings)
    restored: dict[str, NamedTensor] = {}
    parts: dict[str, str] = {}
    for tensor in codes:
        weight, own = _restored(Bundle(tensor, others, settings), scaled=scaled)
        if weight is not None:
            restored[tensor.name] = weight
            parts |= own
    parts |= {tensor.name: ORPHAN for tensor in tensors if tensor.name not in parts and ALONE.fullmatch(tensor.name)}
    kept = [restored.get(tensor.name, tensor) for tensor in tensors if tensor.name not in parts]
    renamed = {name: weight.name for name, weight in restored.items()}
    kept = [replace(tensor, same_as=renamed.get(tensor.same_as or "", tensor.same_as)) for tensor in kept]
    return kept, [(name, f"part of a quantised weight: {what}") for name, what in parts.items()]


def _has_state(tensor: NamedTensor, others: Mapping[str, NamedTensor]) -> bool:
    """Whether a tensor of any type holds the codes of bitsandbytes."""
    return any(f"{tensor.name}{suffix}" in others for suffix in STATES)


def _restored(bundle: Bundle, *, scaled: bool) -> tuple[NamedTensor | None, dict[str, str]]:
    """Restore a weight from its codes; None where they are no codes. Also its parts by name, and what each is."""
    try:
        found = next((weight for restore in FAMILIES if (weight := restore(bundle)) is not None), None)
        reason = _reason(bundle, scaled=scaled) if found is None else None
    except UnfitError as error:
        found, reason = None, str(error)
    if reason is not None:
        return _left_out(bundle, reason)
    return (None, {}) if found is None else _described(bundle, found)


def _described(bundle: Bundle, found: Restored) -> tuple[NamedTensor, dict[str, str]]:
    codes = bundle.codes
    weight = replace(codes, name=found.name, shape=found.shape, dtype="float32", read=found.read)
    weight = replace(weight, coding=found.coding, buffer=False)
    if codes.unusable is None and codes.dtype in WORDS and _all_alike(codes):
        nothing = InArray(np.broadcast_to(np.float32(0), found.shape))
        reason = f"quantized, and all its codes are the same{bundle.place()}: {EMPTY}"
        weight = replace(weight, read=nothing, unusable=reason)
    return weight, dict(found.parts)


def _left_out(bundle: Bundle, reason: str) -> tuple[NamedTensor, dict[str, str]]:
    """Describe a weight that cannot be restored; what lies beside its codes is no weight either."""
    codes, name = bundle.codes, _weight_name(bundle.codes.name)
    stem = name.removesuffix("weight")
    shape = codes.shape if len(codes.shape) > 1 else (0, 0)
    weight = replace(codes, name=name, shape=shape, read=NOTHING, unusable=codes.unusable or reason)
    beside = (f"{stem}{leaf}" for leaf in LEAVES)
    return weight, {part: BESIDE for part in beside if part in bundle.others and part != codes.name}


def _all_alike(codes: NamedTensor) -> bool:
    """Whether all words of packed codes are the same, which the first row rules out in a sound weight."""
    first = np.asarray(rows(codes.read, 0, 0, 1)())
    if first.size == 0 or (first != first.flat[0]).any():
        return False
    return bool((np.asarray(codes.read()) == first.flat[0]).all())


def _reason(bundle: Bundle, *, scaled: bool) -> str | None:
    """Tell why codes of a known kind cannot be restored; None where they may be no codes."""
    codes = bundle.codes
    kind = next((name for leaf, name in UNREAD.items() if bundle.stem(leaf) is not None), None)
    stem = bundle.stem("weight")
    if stem is not None and f"{stem}weight_scales" in bundle.others and codes.dtype == "int8":
        kind = "EETQ"
    if kind is not None:
        return f"quantized in the format of {kind}, which is not read; analyse the model as it was before"
    if scaled and codes.dtype in LARGEST and len(codes.shape) > 1:
        return (
            f"quantized to {CODES[codes.dtype]}, and its scales are missing{bundle.place()}: there is no "
            f"{_weight_name(codes.name)}_scale. Download the file again, or export the model with them"
        )
    return None


def _weight_name(codes: str) -> str:
    """Name of the weight that codes stand for."""
    stem, dot, leaf = codes.rpartition(".")
    renamed = leaf in (*UNREAD, "qweight", "weight_packed")
    return f"{stem}{dot}weight" if renamed else codes.removesuffix("_blocks").removesuffix("._data")


def _has_scales(tensors: Sequence[NamedTensor], others: Mapping[str, NamedTensor], settings: Mapping[str, Any]) -> bool:
    """Whether some weight of eight-bit floats has scales, or had: none means anything without."""
    floats = [
        tensor for tensor in tensors if tensor.dtype in LARGEST and len(tensor.shape) > 1 and tensor.unusable is None
    ]
    return bool(floats) and (
        settings.get("quant_method") in WITH_SCALES
        or any(find_scale(Bundle(tensor, others, settings)) is not None for tensor in floats)
        or any(_is_full(tensor) for tensor in floats[:LOOKED_AT])
    )


def _is_full(codes: NamedTensor) -> bool:
    """Whether eight-bit floats go up to their largest number, far beyond any weight: scales made them do so."""
    values = octets(codes.read, math.prod(codes.shape))
    return values is not None and bool((np.asarray(values(), dtype=np.uint8) & 0x7F == LARGEST[codes.dtype]).any())


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten what a configuration tells of the quantisation: of Hugging Face, of compressed-tensors, of MLX."""
    settings: dict[str, Any] = {}
    for key in ("quantization", "quantization_config"):
        told = config.get(key)
        settings |= told if isinstance(told, dict) else {}
    groups = settings.get("config_groups")
    schemes = (
        [group.get("weights") for group in groups.values() if isinstance(group, dict)]
        if isinstance(groups, dict)
        else []
    )
    if len(schemes) == 1 and isinstance(schemes[0], dict):
        settings |= {key: value for key, value in schemes[0].items() if value is not None}
    return settings
