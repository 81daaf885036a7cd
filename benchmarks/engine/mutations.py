"""Small valid files of each format, and mutations of their headers."""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import torch
from onnx import helper
from safetensors.torch import save

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["SEEDS", "mutate"]

EXTREMES = (0, 1, -1, 2, 3, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63,
            (1 << 64) - 1)  # fmt: skip
ODDITIES = (*EXTREMES, 0.5, 1e300, True, None, "", "F32", "F64", "I4", "..", "x" * 1000, [], {}, [[[[]]]],
            {"shape": []})  # fmt: skip
SAME_SIZE = (("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL", "F8_E8M0"), ("F16", "BF16", "I16"), ("F32", "I32", "U32"),
             ("F64", "I64"))  # fmt: skip
HEADER = 2000  # bytes at the front of a file that a mutation without knowledge of the format hits


def _state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 5, generator=generator) for _ in range(2))
    return {"a.weight": a, "a.bias": a[0], "b.weight": b.bfloat16(), "c.weight": b.T, "d.weight": a[None, None]}


def _saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _npz(save_arrays: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save_arrays(buffer, **{name: tensor.float().numpy() for name, tensor in _state().items()})
    return buffer.getvalue()


def _module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Conv2d(3, 4, 2))


def _exported() -> bytes:
    """Lay a weight out as ``torch.export.save`` does, which takes seconds to do it."""
    meta = {"dtype": 7, "sizes": [{"as_int": 6}, {"as_int": 5}], "strides": [{"as_int": 5}, {"as_int": 1}],
            "storage_offset": {"as_int": 0}}  # fmt: skip
    config = {"config": {"a.weight": {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta}}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/data/weights/model_weights_config.json", json.dumps(config))
        archive.writestr("m/data/weights/weight_0", np.ones(30, np.float32).tobytes())
    return buffer.getvalue()


def _gguf() -> bytes:
    """Lay out two tensors, one of them quantised, as llama.cpp does."""
    text = struct.pack("<Q", 1) + b"k"
    keys = text + struct.pack("<II", 4, 7) + text + struct.pack("<IIQ", 9, 8, 2) + 2 * text
    a = text + struct.pack("<IQQIQ", 2, 6, 5, 0, 0)
    b = text.replace(b"k", b"b") + struct.pack("<IQQIQ", 2, 32, 5, 8, 128)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 2) + keys + a + b
    values = np.random.default_rng(0).normal(size=30).astype("<f4").tobytes()
    blocks = b"".join(np.float16(0.1).tobytes() + bytes(range(i, i + 32)) for i in range(5))
    return head + bytes(-len(head) % 32) + values + bytes(8) + blocks


def _onnx() -> bytes:
    """Save products and a convolution: quantised, behind a name of the exporter's, and in a graph within the graph."""
    w, c = (helper.make_tensor(name, 1, shape, np.arange(np.prod(shape)) - 9.0) for name, shape in
            (("onnx::MatMul_1", (5, 6)), ("c.weight", (4, 3, 2, 2))))  # fmt: skip
    q = helper.make_tensor("q", 3, (6, 5), np.arange(30))
    s = helper.make_tensor("s", 1, (5,), np.arange(5) + 1.0)
    inner = [helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["b"], name="/a/MatMul")]
    nodes = [
        helper.make_node("Conv", ["x", "c.weight"], ["u"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["d"], axis=1),
        helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0]),
        helper.make_node("Gemm", ["u", "t"], ["v"], transB=1),
        helper.make_node("If", ["v"], ["y"], then_branch=helper.make_graph(inner, "g", [], [])),
    ]
    return bytes(helper.make_model(helper.make_graph(nodes, "g", [], [], [w, c, q, s])).SerializeToString())


def _hdf5() -> bytes:
    """Save a dense layer and a convolution, one of them compressed, in the layout of Keras 3."""
    buffer = io.BytesIO()
    values = np.random.default_rng(0).normal(size=(2, 2, 6, 5)).astype(np.float32)
    with h5py.File(buffer, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=values[0, 0])
        file.create_dataset("layers/conv2d/vars/0", data=values, compression="gzip")
        file["layers/dense/vars"].attrs["name"] = "head"
    return buffer.getvalue()


def _keras() -> bytes:
    layers = [{"class_name": kind, "config": {"name": kind.lower()}} for kind in ("Conv2D", "Dense")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": layers}}))
        archive.writestr("model.weights.h5", _hdf5())
    return buffer.getvalue()


def _quantised() -> bytes:
    """Save a weight of each kind of quantisation, some of 64 values, with everything that lies beside its codes."""
    words, octets = (torch.arange(size, dtype=torch.uint8).repeat(4)[:size] for size in (128, 32))
    ints, ones = words.view(torch.int32), torch.ones(64)
    state = {"quant_type": "nf4", "blocksize": 32, "dtype": "float16", "shape": [8, 8], "nested_blocksize": 2,
             "nested_offset": 0.5}  # fmt: skip
    tensors = {
        "fp8.weight": octets.view(torch.float8_e4m3fn).reshape(8, 4), "fp8.weight_scale_inv": ones[:2].reshape(2, 1),
        "int8.weight": octets.view(torch.int8).reshape(8, 4), "int8.SCB": ones[:8],
        "gptq.qweight": ints[:16].reshape(2, 8), "gptq.qzeros": ints[:2].reshape(2, 1),
        "gptq.scales": ones[:16].reshape(2, 8), "gptq.g_idx": torch.arange(16, dtype=torch.int32) % 2,
        "awq.qweight": ints[:8].reshape(8, 1), "awq.qzeros": ints[:2].reshape(2, 1),
        "awq.scales": ones[:16].reshape(2, 8),
        "ct.weight_packed": ints[:16].reshape(8, 2), "ct.weight_scale": ones[:16].reshape(8, 2),
        "ct.weight_shape": torch.tensor([8, 16]), "ct.weight_zero_point": ints[:2].reshape(1, 2),
        "nf4.weight": octets.reshape(32, 1), "nf4.weight.absmax": octets[:2], "nf4.weight.quant_map": ones[:16],
        "nf4.weight.nested_absmax": ones[:1], "nf4.weight.nested_quant_map": ones.repeat(4),
        "nf4.weight.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
        "experts.up_blocks": words.reshape(2, 4, 1, 16), "experts.up_scales": octets[:8].reshape(2, 4, 1) + 120,
        "mlx.weight": ints[:16].view(torch.uint32).reshape(8, 2), "mlx.scales": ones[:8].reshape(8, 1),
        "mlx.biases": ones[:8].reshape(8, 1),
        "fp4.weight": octets.reshape(4, 8), "fp4.weight_scale": octets[:4].view(torch.float8_e4m3fn).reshape(4, 1),
        "fp4.weight_scale_2": ones[:1],
    }  # fmt: skip
    return save({name: tensor.clone() for name, tensor in tensors.items()})


def _quantised_by_torch() -> bytes:
    """Save a state dict with packed parameters, and a tensor that has scales for its rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, zeros = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(6, dtype=torch.int64)
        rows = torch.quantize_per_channel(values, torch.ones(6), zeros, 0, torch.qint8)
        whole = torch.quantize_per_tensor(values, 0.1, 3, torch.quint8)
        return _saved({"a._packed_params._packed_params": (rows, torch.zeros(6)), "b.weight": whole, "c.bias": zeros})


SEEDS: dict[str, tuple[str, bytes]] = {
    "safetensors": (".safetensors", save({name: tensor.clone().contiguous() for name, tensor in _state().items()})),
    "zip": (".pt", _saved({"state_dict": _state(), "epoch": 3})),
    "module": (".pt", _saved(_module())),
    "legacy": (".pt", _saved(_state(), _use_new_zipfile_serialization=False)),
    "legacy module": (".pt", _saved(_module(), _use_new_zipfile_serialization=False)),
    "exported": (".pt2", _exported()),
    "npz": (".npz", _npz(np.savez)),
    "gguf": (".gguf", _gguf()),
    "onnx": (".onnx", _onnx()),
    "hdf5": (".h5", _hdf5()),
    "keras": (".keras", _keras()),
    "quantised": (".safetensors", _quantised()),
    "quantised by torch": (".pt", _quantised_by_torch()),
    "compressed npz": (".npz", _npz(np.savez_compressed)),
}


def mutate(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Damage a file: with knowledge of its format half of the time, else its bytes."""
    if rng.random() < 0.5:
        return _bytes(content, rng, HEADER)
    if suffix == ".safetensors":
        return _safetensors(content, rng) if rng.random() < 0.7 else _bytes(content, rng, len(content))
    return _zip(content, rng) if content[:2] == b"PK" else _bytes(content, rng, len(content))


def _bytes(content: bytes, rng: random.Random, limit: int) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not data:
            break
        at = rng.randrange(min(limit, len(data)))
        kind = rng.randrange(7)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 16)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 16))
        elif kind == 4:
            data[at:at] = data[at : at + rng.randrange(1, 64)]
        elif kind == 5:
            del data[at + rng.randrange(64) :]
        else:
            width = rng.choice((1, 2, 4, 8))
            data[at : at + width] = (rng.choice(EXTREMES) % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(data)


def _safetensors(content: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    if rng.random() < 0.5:
        changed = json.dumps(_entry(entries, rng)).encode()
        return struct.pack("<Q", len(changed)) + changed + content[8 + length :]
    header = json.dumps(_json(entries, rng)).encode()
    claimed = rng.choice((*EXTREMES, *[len(header)] * 20)) % (1 << 64)
    return struct.pack("<Q", claimed) + header + content[8 + length :]


def _entry(entries: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Change tensors in ways that leave the header whole: another name, shape or type of the same bytes."""
    changed = dict(entries)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(list(changed))
        entry = dict(changed.pop(name))
        kind, shape = rng.randrange(3), entry.get("shape", [])
        if kind == 0:
            entry["shape"] = rng.choice(
                (shape[::-1], [math.prod(shape)], [1, *shape], [*shape, 1], [math.prod(shape), 1])
            )
        elif kind == 1:
            same = next((types for types in SAME_SIZE if entry.get("dtype") in types), (entry.get("dtype"),))
            entry["dtype"] = rng.choice(same)
        else:
            name = rng.choice((name + "x", name.rpartition(".")[2], f"z.{name}", "scales", "weight_scale"))
        changed[name] = entry
    return changed


def _json(value: Any, rng: random.Random) -> Any:
    """Change a value somewhere below, or the value itself."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if not items or rng.random() < 0.1:
        return rng.choice(ODDITIES)
    key, inner = rng.choice(items)
    changed = dict(items) | {key: _json(inner, rng)}
    if isinstance(value, dict):
        return changed | ({str(rng.choice(ODDITIES)): rng.choice(items)[1]} if rng.random() < 0.1 else {})
    return list(changed.values())


def _zip(content: bytes, rng: random.Random) -> bytes:
    """Damage an entry and write an archive that is whole otherwise, so that its checksums do not catch it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(buffer, "w") as out:
        infos = archive.infolist()
        described = [info for info in infos if info.filename.endswith((".pkl", ".npy", ".json", ".h5", "byteorder"))]
        victim = rng.choice(described)
        for info in infos:
            data = archive.read(info)
            if info is victim:
                kind = rng.randrange(10)
                if kind == 0:
                    continue
                if kind == 1:
                    out.writestr(info.filename, data)
                changed = _json(json.loads(data), rng) if info.filename.endswith(".json") and kind < 8 else None
                data = _bytes(data, rng, len(data)) if changed is None else json.dumps(changed).encode()
            out.writestr(info.filename, data, zipfile.ZIP_DEFLATED if rng.random() < 0.02 else info.compress_type)
    return buffer.getvalue() if rng.random() < 0.8 else _bytes(buffer.getvalue(), rng, len(buffer.getvalue()))
