"""Quantised copies of a matrix, packed as their formats are written down, and the matrix that each stands for.

GPTQ and AWQ are packed here by loops over single numbers, after the description of their formats, because the programs
that write them need a GPU. Where a library runs on the CPU, it does the work: bitsandbytes, compressed-tensors, torch.
"""

from __future__ import annotations

import numpy as np
import torch

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # column, of eight, that each four bits of a word hold, the lowest first


def heavy_tailed(rows, columns, seed=0):
    """A matrix with rows of very different size."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, columns)) * (rng.pareto(1.5, size=(rows, 1)) + 0.1) * 0.02).astype(np.float32)


def fp8(W, name="l", *, kind="e4m3fn", blocks=None, leaf="weight_scale", flat=False):
    """FP8 with a scale for the tensor (blocks None), or for each block, such as (1, columns) for rows."""
    dtype = getattr(torch, f"float8_{kind}")
    rows, columns = blocks or W.shape
    scales = np.zeros((-(-W.shape[0] // rows), -(-W.shape[1] // columns)), np.float32)
    codes, decoded = torch.zeros(W.shape, dtype=torch.float32), np.zeros_like(W)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = (slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns))
            scales[i, j] = np.abs(W[part]).max() / torch.finfo(dtype).max or 1
            codes[part] = torch.tensor(W[part] / scales[i, j]).to(dtype).float()
            decoded[part] = codes[part].numpy() * scales[i, j]
    scale = torch.tensor(scales[:, 0] if flat else scales if blocks else scales[0, 0])
    return {f"{name}.weight": codes.to(dtype), f"{name}.{leaf}": scale}, decoded


def int_grid(W, bits, group, symmetric):
    """Integers of a few bits, with a scale and a zero point for each group of inputs, shape (outputs, groups)."""
    grouped = W.reshape(W.shape[0], -1, group)
    low, high = np.minimum(grouped.min(-1), 0), np.maximum(grouped.max(-1), 0)
    most = 2**bits - 1
    if symmetric:
        scale = np.maximum(np.abs(grouped).max(-1) / (most / 2), 1e-6)
        zero = np.full_like(scale, 2 ** (bits - 1))
    else:
        scale = np.maximum((high - low) / most, 1e-6)
        zero = np.clip(np.round(-low / scale), 1, most)  # 0 less one is what the first format of GPTQ cannot hold
    scale = scale.astype(np.float16).astype(np.float32)
    codes = np.clip(np.round(grouped / scale[..., None]) + zero[..., None], 0, most).reshape(W.shape)
    decoded = ((codes.reshape(grouped.shape) - zero[..., None]) * scale[..., None]).reshape(W.shape)
    return codes.astype(np.int64), zero.astype(np.int64), scale, decoded.astype(np.float32)


def stream(codes, bits):
    """Pack codes of one column, the lowest bits first, into words of 32 bits."""
    number = 0
    for place, code in enumerate(codes):
        number |= int(code) << (bits * place)
    words = -(-len(codes) * bits // 32)
    return [(number >> (32 * word)) & 0xFFFFFFFF for word in range(words)]


def words(table):
    """Words of 32 bits as the int32 that files hold."""
    return torch.tensor(np.array(table, dtype=np.uint32).view(np.int32).copy(order="C"))


def gptq(W, name="l", *, bits=4, group=64, symmetric=True, version=1, order=None):
    """GPTQ: codes along the inputs, zero points along the outputs, less one in the first format.

    ``order``: the group of each input, as ``desc_act`` gives; those of a group are quantised together.
    """
    groups = np.arange(W.shape[1]) // group if order is None else np.asarray(order)
    sort = np.argsort(groups, kind="stable")
    codes, zero, scale, sorted_ = int_grid(W[:, sort], bits, group, symmetric)
    decoded, unsorted = np.empty_like(sorted_), np.empty_like(codes)
    decoded[:, sort], unsorted[:, sort] = sorted_, codes
    qweight = np.array([stream(row, bits) for row in unsorted]).T
    qzeros = [stream([z - (version == 1) for z in column], bits) for column in zero.T]
    return {
        f"{name}.qweight": words(qweight),
        f"{name}.qzeros": words(qzeros),
        f"{name}.scales": torch.tensor(scale.T.copy()).half(),
        f"{name}.g_idx": torch.tensor(groups, dtype=torch.int32),
    }, decoded


def awq(W, name="l", *, group=64):
    """AWQ: eight outputs in a word, interleaved, codes (inputs, words) and zero points (groups, words)."""
    codes, zero, scale, decoded = int_grid(W, 4, group, symmetric=False)

    def packed(table):
        return words(
            [
                [
                    sum(int(row[8 * word + column]) << (4 * place) for place, column in enumerate(AWQ_ORDER))
                    for word in range(len(row) // 8)
                ]
                for row in table
            ]
        )

    return {
        f"{name}.qweight": packed(codes.T),
        f"{name}.qzeros": packed(zero.T),
        f"{name}.scales": torch.tensor(scale.T.copy()).half(),
    }, decoded


def mlx(W, name="l", *, bits=4, group=64):
    """MLX: codes along the inputs in unsigned words, and for each group a scale and a bias."""
    grouped = W.reshape(W.shape[0], -1, group)
    low, high = grouped.min(-1), grouped.max(-1)
    scale = np.maximum((high - low) / (2**bits - 1), 1e-6).astype(np.float16).astype(np.float32)
    bias = low.astype(np.float16).astype(np.float32)
    codes = np.clip(np.round((grouped - bias[..., None]) / scale[..., None]), 0, 2**bits - 1)
    decoded = (codes * scale[..., None] + bias[..., None]).reshape(W.shape)
    packed = np.array([stream(row, bits) for row in codes.reshape(W.shape).astype(np.int64)], dtype=np.uint32)
    return {
        f"{name}.weight": torch.tensor(packed),
        f"{name}.scales": torch.tensor(scale).half(),
        f"{name}.biases": torch.tensor(bias).half(),
    }, decoded.astype(np.float32)


def compressed(W, name="l", *, bits=4, strategy="group", symmetric=True, block=None, kind="int", group=64):
    """What compressed-tensors writes of a matrix, and what it reads back."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    tensor = torch.tensor(W)
    sizes = {"group": {"group_size": group}, "tensor_group": {"group_size": group}, "block": {"block_structure": block}}
    args = QuantizationArgs(num_bits=bits, type=kind, strategy=strategy, symmetric=symmetric, **sizes.get(strategy, {}))
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    if strategy in ("group", "tensor_group"):
        parts = tensor.reshape(W.shape[0], -1, group)
        low, high = parts.amin(-1), parts.amax(-1)
    elif strategy == "block":
        parts = tensor.reshape(W.shape[0] // block[0], block[0], W.shape[1] // block[1], block[1])
        low, high = parts.amin((1, 3)), parts.amax((1, 3))
    else:
        axes = (0, 1) if strategy == "tensor" else (1,)
        low, high = tensor.amin(axes, keepdim=True), tensor.amax(axes, keepdim=True)
    scale, zero = calculate_qparams(low, high, args)
    if strategy == "tensor":
        scale, zero = scale.reshape(1), zero.reshape(1)
    state = {"weight": tensor, "weight_scale": scale, "weight_zero_point": zero}
    compressor = BaseCompressor.get_value_from_registry(_format(bits, kind))
    stored = compressor.compress(state, scheme)
    decoded = compressor.decompress(dict(stored), scheme)["weight"]
    return {f"{name}.{key}": value.contiguous() for key, value in stored.items()}, decoded.float().numpy()


def _format(bits, kind):
    if kind == "float":
        return "float-quantized"
    return "int-quantized" if bits == 8 else "pack-quantized"


def nf4(W, name="l", *, kind="nf4", double=False, storage=torch.uint8):
    """Four bits of bitsandbytes, also with its scales quantised, or kept in bytes of another type."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    codes, state = quantize_4bit(
        torch.tensor(W), quant_type=kind, compress_statistics=double, blocksize=64, quant_storage=storage
    )
    parts = {f"{name}.weight.{key}": value for key, value in state.as_dict(packed=True).items()}
    return {f"{name}.weight": codes, **parts}, dequantize_4bit(codes, state).float().numpy()


def llm_int8(W, name="l"):
    """Eight bits of bitsandbytes: rows of int8 and their largest values."""
    from bitsandbytes.functional import int8_vectorwise_dequant, int8_vectorwise_quant

    codes, largest, _ = int8_vectorwise_quant(torch.tensor(W).half())
    tensors = {
        f"{name}.weight": codes,
        f"{name}.SCB": largest,
        f"{name}.weight_format": torch.tensor(0, dtype=torch.uint8),
    }
    return tensors, int8_vectorwise_dequant(codes, largest).float().numpy()


FLOAT4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def float4(values):
    """Codes of the four-bit floats nearest to some values."""
    distance = (values.abs()[..., None] - FLOAT4).abs()
    return distance.argmin(-1) + 8 * (values < 0)


def mxfp4(W):
    """Blocks and scales of a stack of matrices (experts, outputs, inputs), as gpt-oss has them."""
    grouped = torch.tensor(W).reshape(*W.shape[:-1], -1, 32)
    exponent = torch.floor(torch.log2(grouped.abs().amax(-1).clamp(min=1e-30))) - 2
    codes = float4(grouped / 2.0 ** exponent[..., None])
    blocks = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
    decoded = torch.where(codes > 7, -1.0, 1.0) * FLOAT4[codes % 8] * 2.0 ** exponent[..., None]
    return blocks, (exponent + 127).to(torch.uint8), decoded.reshape(W.shape).numpy()


def mxfp4_rows(W, name="l"):
    """MXFP4 of one matrix, as compressed-tensors packs it."""
    blocks, scales, decoded = mxfp4(W[None])
    return {f"{name}.weight_packed": blocks.reshape(len(W), -1), f"{name}.weight_scale": scales[0]}, decoded[0]


def mxfp8(W, name="l"):
    """FP8 with a power of two for each 32 values of a row."""
    grouped = torch.tensor(W).reshape(len(W), -1, 32)
    exponent = torch.floor(torch.log2(grouped.abs().amax(-1).clamp(min=1e-30))) - 8
    codes = (grouped / 2.0 ** exponent[..., None]).to(torch.float8_e4m3fn)
    decoded = (codes.float() * 2.0 ** exponent[..., None]).reshape(W.shape).numpy()
    return {f"{name}.weight": codes.reshape(W.shape), f"{name}.weight_scale": (exponent + 127).to(torch.uint8)}, decoded


def nvfp4(W, name="l", *, modelopt=True):
    """NVFP4: a scale in FP8 for 16 values and one for the tensor, which divides in compressed-tensors."""
    grouped = torch.tensor(W).reshape(W.shape[0], -1, 16)
    tensor_scale = grouped.abs().max() / (6 * 448)
    scale = (grouped.abs().amax(-1) / 6 / tensor_scale).clamp(min=2**-9).to(torch.float8_e4m3fn)
    full = (scale.float() * tensor_scale)[..., None]
    codes = float4(grouped / full)
    decoded = torch.where(codes > 7, -1.0, 1.0) * FLOAT4[codes % 8] * full
    packed = (codes[..., 0::2] | codes[..., 1::2] << 4).reshape(W.shape[0], -1).to(torch.uint8)
    names = ("weight", "weight_scale_2") if modelopt else ("weight_packed", "weight_global_scale")
    second = tensor_scale if modelopt else (1 / tensor_scale).reshape(1)
    tensors = {f"{name}.{names[0]}": packed, f"{name}.weight_scale": scale, f"{name}.{names[1]}": second}
    return tensors, decoded.reshape(W.shape).numpy()
