"""PyTorch files: tensors, state dicts, whole modules and exported programs, read without running their code."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.weights.formats.nested import weights_in
from wwopt.weights.formats.packed_params import packed_tensors
from wwopt.weights.formats.pickle_stubs import QuantizedTensor, Record, Storage, StoredTensor, Unreadable
from wwopt.weights.formats.torch_container import TorchContainer, locate, read_container, read_text
from wwopt.weights.quantization.torch_scheme import scale_codes
from wwopt.weights.tensors.dtypes import ITEM_SIZES
from wwopt.weights.tensors.readers import InArray, InFile
from wwopt.weights.tensors.tensor import NamedTensor
from wwopt.weights.tensors.tied import Identities

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["is_pt2", "read_pt2", "read_torch"]

LAYER_TYPES = {
    "torch.nn.modules.linear.Linear": "dense",
    "torch.nn.modules.linear.Bilinear": "bilinear",
    "torch.nn.modules.sparse.Embedding": "embedding",
    "torch.nn.modules.sparse.EmbeddingBag": "embedding",
    **{f"torch.nn.modules.conv.Conv{n}d": f"conv{n}d" for n in (1, 2, 3)},
    **{f"torch.nn.modules.conv.ConvTranspose{n}d": f"conv_transpose{n}d" for n in (1, 2, 3)},
    **{f"torch.nn.modules.normalization.{name}": "normalization" for name in ("LayerNorm", "RMSNorm")},
}
PT2_DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
    29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz",
}  # fmt: skip
WEIGHT = ("weight", "weight_orig", "weight_v")  # of a layer, also as it is kept by pruning and weight norm
BUFFER = "buffer"  # in place of a layer's type
NOTHING = InArray(np.empty((0, 0)))


def read_torch(path: Path) -> Iterator[NamedTensor]:
    """Describe the tensors of a file by ``torch.save`` or ``torch.jit.save``; each is read when asked for."""
    container = read_container(path)
    storages, buffers = (_StorageMap(path, container.storages) for _ in range(2))
    for name, value, layer_type in _tensors(container, path):
        if layer_type == BUFFER:
            if isinstance(value, StoredTensor):
                yield replace(buffers.describe(name, value, None), buffer=True)
        elif isinstance(value, StoredTensor):
            yield storages.describe(name, value, layer_type)
        elif isinstance(value, QuantizedTensor):
            yield storages.describe_quantized(name, value, layer_type)
        elif isinstance(value, Unreadable):
            yield NamedTensor(name, (0, 0), "", NOTHING, unusable=f"a tensor that is {value.reason}")


def is_pt2(path: Path) -> bool:
    """Whether a file is an archive by ``torch.export.save``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("archive_format") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):  # reported when it is read
        return False


def read_pt2(path: Path) -> Iterator[NamedTensor]:
    """Describe the weights of an exported program.

    Raises
    ------
    ValueError
        The archive is damaged, or its weights are pickled.
    """
    try:
        tensors, storages = _pt2_entries(path)
        described = [storages.describe(name, tensor, None) for name, tensor in tensors]
    except Exception as error:  # what is damaged can break anywhere
        raise ValueError(f"{path} is not a readable pt2 archive: {error}") from error
    return iter(described)


def _pt2_entries(path: Path) -> tuple[list[tuple[str, StoredTensor]], _StorageMap]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        config = next(name for name in archive.namelist() if name.endswith("data/weights/model_weights_config.json"))
        folder = config.removesuffix("model_weights_config.json")
        tensors = []
        storages: dict[str, tuple[int, int]] = {}
        for name, entry in json.loads(read_text(file, archive.getinfo(config)))["config"].items():
            if entry["use_pickle"]:
                raise ValueError(f"the weight {name!r} is pickled")
            key, meta = str(entry["path_name"]), entry["tensor_meta"]
            _, size = storages.setdefault(key, locate(file, archive.getinfo(folder + key)))
            dtype = PT2_DTYPES.get(meta["dtype"], f"number {meta['dtype']}")
            shape, strides = ([extent["as_int"] for extent in meta[key]] for key in ("sizes", "strides"))
            storage = Storage(dtype, key, size // ITEM_SIZES.get(dtype, 1))
            tensors.append(
                (name, StoredTensor(storage, meta["storage_offset"]["as_int"], tuple(shape), tuple(strides)))
            )
    return tensors, _StorageMap(path, storages)


class _StorageMap:
    """Storages of a file, and the tensors that have been described in them."""

    def __init__(self, path: Path, storages: Mapping[str, tuple[int, int]]) -> None:
        self.path = path
        self.storages = storages
        self.identities = Identities()

    def describe(self, name: str, tensor: StoredTensor, layer_type: str | None) -> NamedTensor:
        """Turn a stored tensor into one that can be read, after checking all of its numbers."""
        shape, dtype = tensor.shape, tensor.storage.dtype
        numbers = (*shape, *tensor.strides, tensor.offset)
        if len(shape) != len(tensor.strides) or not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"{self.path} is damaged: the tensor {name!r} has no shape.")
        reason = self._why_unusable(tensor)
        if reason is not None:
            return NamedTensor(name, shape, dtype, NOTHING, layer_type, unusable=reason)
        start, _ = self.storages[tensor.storage.key]
        size = ITEM_SIZES[dtype]
        strides = None if tensor.strides == _row_major(shape) else tensor.strides
        read = InFile(self.path, start + tensor.offset * size, dtype, shape, strides)
        identity = (tensor.storage.key, tensor.offset, shape, tensor.strides)
        same_as = self.identities.first_name(identity, name) if 0 not in shape else None
        return NamedTensor(name, shape, dtype, read, layer_type, same_as)

    def describe_quantized(self, name: str, tensor: QuantizedTensor, layer_type: str | None) -> NamedTensor:
        """Turn a tensor of integers with scales into the numbers that it stands for."""
        codes = self.describe(name, tensor.codes, layer_type)
        numbers = [
            self.describe(f"{name}.{part}", value, None) if isinstance(value, StoredTensor) else value
            for part, value in (("scale", tensor.scale), ("zero_point", tensor.zero))
        ]
        return scale_codes(codes, numbers[0], numbers[1], tensor.axis)

    def _why_unusable(self, tensor: StoredTensor) -> str | None:
        size = ITEM_SIZES.get(tensor.storage.dtype)
        if size is None:
            return f"not a weight: dtype {tensor.storage.dtype}"
        if tensor.storage.key not in self.storages:
            return "its values are not in the file"
        last = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.strides, strict=True))
        held = self.storages[tensor.storage.key][1] // size
        if 0 not in tensor.shape and (tensor.offset + last >= held or math.prod(tensor.shape) > held):
            return f"claims {math.prod(tensor.shape)} values of a storage that holds {held}"
        return None


def _tensors(container: TorchContainer, path: Path) -> Iterator[tuple[str, object, str | None]]:
    content = container.content
    if isinstance(content, Mapping):
        content = weights_in(content, _is_tensor, lambda value: isinstance(value, Record))
    if _is_tensor(content):
        yield path.stem, content, None
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(value, (tuple, list, Record)):
                yield from ((key, tensor, None) for key, tensor in packed_tensors(f"{name}.", value, _is_tensor))
            else:
                yield str(name), value, None
    elif isinstance(content, Record):
        yield from _walk(content)
    else:
        raise ValueError(f"{path} holds a {type(content).__name__}, not a mapping of names to tensors.")


def _walk(root: Record) -> Iterator[tuple[str, object, str | None]]:
    """Yield the tensors of a pickled model, with the types of their layers, in the order of its modules."""
    waiting, seen = [("", root)], set()
    while waiting:
        prefix, record = waiting.pop()
        if id(record) in seen:
            continue
        seen.add(id(record))
        if not isinstance(record.state, Mapping):
            yield from ((name, value, None) for name, value in packed_tensors(prefix, record, _is_tensor))
        state = record.state if isinstance(record.state, Mapping) else {}
        own = state.get("_parameters", state)
        for key, value in own.items() if isinstance(own, Mapping) else ():
            if _is_tensor(value):
                yield f"{prefix}{key}", value, LAYER_TYPES.get(record.class_name) if key in WEIGHT else None
        for key, value, made_of_it in _buffers(state):
            yield f"{prefix}{key}", value, None if made_of_it else BUFFER
        children = state.get("_modules", state)
        named = list(children.items()) if isinstance(children, Mapping) else []
        if children is not state:
            named += [(key, value) for key, value in state.items() if _is_packed(value)]
        waiting += reversed([(f"{prefix}{key}.", child) for key, child in named if isinstance(child, Record)])


def _is_packed(value: object) -> bool:
    """Whether a value is an object of C++, such as the packed parameters of a quantised layer."""
    return isinstance(value, Record) and value.class_name == "torch.ScriptObject"


def _buffers(state: Mapping[Any, Any]) -> Iterator[tuple[str, object, bool]]:
    """Yield the buffers that a module saves, and whether a weight is made of them, as of a pruning mask."""
    own, buffers = state.get("_parameters"), state.get("_buffers")
    passing = _items(state.get("_non_persistent_buffers_set"))
    if isinstance(own, Mapping) and isinstance(buffers, Mapping):
        for key, value in buffers.items():
            name, _, role = str(key).rpartition("_")
            if _is_tensor(value) and key not in passing:
                yield str(key), value, role in ("u", "v", "mask") and f"{name}_orig" in own


def _items(pickled: object) -> list[Any]:
    """Items of a set, which is kept as a record: what it was called with, or what was added to it."""
    if not isinstance(pickled, Record):
        return []
    return [*pickled.items, *(item for items in pickled.arguments if isinstance(items, list) for item in items)]


def _is_tensor(value: object) -> bool:
    return isinstance(value, (StoredTensor, QuantizedTensor, Unreadable))


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
