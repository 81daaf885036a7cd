"""Keras models and weights: ``.keras``, ``.weights.h5`` and the older ``.h5``, with their layers' names."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wwopt.weights.formats.hdf5 import Hdf5Content, list_hdf5
from wwopt.weights.formats.torch_container import locate, read_text
from wwopt.weights.tensors.readers import Reshaped, Turned, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["is_keras_archive", "read_hdf5", "read_keras"]

WEIGHTS, CONFIG = "model.weights.h5", "config.json"  # entries of an archive
UNPACK = f". Unpack it (`unzip FILE`) and give {WEIGHTS}"
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # groups that hold the layers of a model
NUMBERED = re.compile(r"_\d+$")
OUTPUT_OF_TENSORFLOW = re.compile(r":\d+$")
VARIABLES = {  # of a layer, in the order of their numbers
    "embedding": ("embeddings",),
    "cell": ("kernel", "recurrent_kernel", "bias"),
    **{f"separable_conv{n}d": ("depthwise_kernel", "pointwise_kernel", "bias") for n in (1, 2)},
}
KERNEL, NORMALIZATION = ("kernel", "bias"), ("gamma", "beta")
BATCH_NORMALIZATION = (*NORMALIZATION, "moving_mean", "moving_variance")
PASSED_OVER = ("optimizer", "seed_generator")  # of training
GATES = {4: ("lstm", ("i", "f", "c", "o")), 3: ("gru", ("z", "r", "h")), 1: ("rnn", ("",))}
WRITES_HEADS, READS_HEADS = ("query", "key", "value"), ("attention_output", "output")
DEEPEST = 32  # models within models


def is_keras_archive(path: Path) -> bool:
    """Whether a file is an archive of Keras 3."""
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):  # reported when it is read
        return False


def read_keras(path: Path) -> list[NamedTensor]:
    """Describe the weights of a ``.keras`` archive, with the names of its configuration.

    Raises
    ------
    ValueError
        The archive is damaged or compressed.
    ImportError
        h5py is not installed.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            start, size = locate(file, entries[WEIGHTS])
            config = json.loads(read_text(file, entries[CONFIG])) if CONFIG in entries else {}
            names = dict(_names(config, ""))
    except Exception as error:  # what is damaged can break anywhere
        raise ValueError(f"{path} is not a readable archive of Keras: {error}{UNPACK}") from error
    return _described(list_hdf5(path, start, start + size), names)


def read_hdf5(*paths: Path) -> list[NamedTensor]:
    """Describe the weights of an HDF5 file: of Keras, in either of its layouts, or with any names; or of its shards.

    A layer of Keras may be spread over several shards.

    Raises
    ------
    ValueError
        The file is damaged.
    ImportError
        h5py is not installed.
    """
    listed = [list_hdf5(path) for path in paths]
    names = {group: name for one in listed for group, name in one.names.items()}
    orders = {group: order for one in listed for group, order in one.orders.items()}
    return _described(Hdf5Content([tensor for one in listed for tensor in one.tensors], names, orders), {})


def _names(config: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the group that Keras makes for each layer of a model's configuration, and the layer's name.

    Groups are numbered by the classes of the layers, ``dense``, ``dense_1``, whatever their names are.
    """
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    counts: dict[str, int] = {}
    for layer in layers if isinstance(layers, list) and depth < DEEPEST else ():
        kind = _snake_case(str(layer.get("class_name"))) if isinstance(layer, dict) else ""
        given = layer.get("config", {}).get("name") if kind and isinstance(layer.get("config"), dict) else None
        counts[kind] = counts.get(kind, -1) + 1
        path = f"{prefix}layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else "")
        if isinstance(given, str):
            yield path, given
            yield from _names(layer, f"{path}/", depth + 1)


def _snake_case(name: str) -> str:
    """Name of a class as Keras writes it into a file: ``conv2d_transpose`` for ``Conv2DTranspose``.

    >>> _snake_case("MultiHeadAttention"), _snake_case("LSTM"), _snake_case("Conv2DTranspose")
    ('multi_head_attention', 'lstm', 'conv2d_transpose')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _described(content: Hdf5Content, names: dict[str, str]) -> list[NamedTensor]:
    known = content.names | names
    groups = {path: number for number, path in enumerate(names)}
    places = [_place(tensor.name, content.orders, groups) for tensor in content.tensors]
    counts = Counter(_group(tensor.name) for tensor in content.tensors)
    named: dict[tuple[str, ...], NamedTensor] = {}
    for _, tensor in sorted(zip(places, content.tensors, strict=True), key=lambda pair: pair[0]):
        if not tensor.name.startswith(PASSED_OVER):
            parts = tuple(_parts(tensor.name, known, counts[_group(tensor.name)]))
            named[parts if parts not in named else tuple(tensor.name.split("/"))] = tensor
    return [part for parts, tensor in named.items() for part in _turned(parts, tensor, named)]


def _group(path: str) -> str:
    return path.rpartition("/")[0]


def _place(name: str, orders: Mapping[str, list[str]], groups: Mapping[str, int]) -> tuple[int, ...]:
    """Place of a weight in the order of the configuration, or in that which the older layout lists."""
    above = name.split("/")
    paths = ["/".join(above[:end]) for end in range(len(above), 0, -1)]
    number = next((groups[path] for path in paths if path in groups), len(groups))
    root = "model_weights" if above[0] == "model_weights" else ""
    layer, _, weight = name.removeprefix(f"{root}/").partition("/")
    layers, weights = orders.get(root, []), orders.get(f"{root}/{layer}".strip("/"), [])
    return number, _index(layers, layer), _index(weights, weight)


def _index(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _parts(path: str, names: Mapping[str, str], count: int) -> list[str]:
    """Path of a weight's layer, and its name; ``count`` weights lie beside it."""
    *groups, leaf = path.removeprefix("model_weights/").split("/")
    if groups and groups[-1] == "vars" and leaf.isdigit():
        return _numbered(groups, int(leaf), names, count)
    if len(groups) > 1 and groups[0] == groups[1]:
        groups = groups[1:]
    return [*groups, OUTPUT_OF_TENSORFLOW.sub("", leaf)]


def _numbered(groups: list[str], number: int, names: Mapping[str, str], count: int) -> list[str]:
    """Name a weight that its layer numbers, and its layer as the configuration or the file does."""
    found = []
    for i, group in enumerate(groups[:-1]):
        own = "/".join(groups[: i + 1])
        if group not in CONTAINERS:
            found.append(names.get(own) or names.get(f"{own}/vars") or group)
    kind = NUMBERED.sub("", groups[-2]) if len(groups) > 1 else ""
    variables = VARIABLES.get(kind, NORMALIZATION if kind.endswith("normalization") else KERNEL)
    if kind == "batch_normalization":  # without a gain, a bias or both where it was told so
        variables = BATCH_NORMALIZATION[-count:] if count != 3 else ("gamma_or_beta", *BATCH_NORMALIZATION[2:])
    return [*found, variables[number] if number < len(variables) else str(number)]


def _turned(
    parts: tuple[str, ...], tensor: NamedTensor, others: Mapping[tuple[str, ...], NamedTensor]
) -> list[NamedTensor]:
    """Name a weight after its layer; a kernel is turned as PyTorch's, and cut into the gates of a recurrent layer."""
    *layer, leaf = parts
    shape = tensor.shape
    if leaf == "embeddings" and len(shape) == 2:
        return [replace(tensor, name=_weight(layer), layer_type="embedding")]
    if not leaf.endswith("kernel") or len(shape) < 2:
        return [replace(tensor, name=".".join(parts))]
    recurrent = others.get((*layer, "recurrent_kernel"))
    if recurrent is not None and len(recurrent.shape) == len(shape) == 2:
        return _gates(parts, tensor, recurrent.shape)
    outputs = _outputs(layer, shape, others)
    if outputs:
        inputs = len(shape) - outputs
        shape = (math.prod(shape[:inputs]), math.prod(shape[inputs:]))
        tensor = replace(tensor, shape=shape, read=Reshaped(tensor.read, shape))
    axes = (len(shape) - 1, len(shape) - 2, *range(len(shape) - 2))
    kind = "conv_transpose" if "transpose" in tensor.name else "conv"
    layer_type = "dense" if len(shape) == 2 else f"{kind}{len(shape) - 2}d"
    turned = tuple(shape[axis] for axis in axes)
    name = _weight(layer if leaf == "kernel" else [*layer, leaf])
    return [replace(tensor, name=name, shape=turned, read=Turned(tensor.read, axes), layer_type=layer_type)]


def _weight(layer: list[str]) -> str:
    return ".".join([*layer, "weight"])


def _gates(parts: tuple[str, ...], tensor: NamedTensor, recurrent: tuple[int, ...]) -> list[NamedTensor]:
    count, rest = divmod(tensor.shape[1], max(recurrent[0], 1))
    if rest or count not in GATES:
        return [replace(tensor, name=".".join(parts))]
    layer_type, gates = GATES[count]
    read = Turned(tensor.read, (1, 0))
    size = recurrent[0]
    return [
        replace(
            tensor, name=".".join(filter(None, (*parts, gate))), shape=(size, tensor.shape[0]),
            read=rows(read, 0, i * size, (i + 1) * size), layer_type=layer_type,
        )
        for i, gate in enumerate(gates)
    ]  # fmt: skip


def _outputs(layer: list[str], shape: tuple[int, ...], others: Mapping[tuple[str, ...], NamedTensor]) -> int:
    """Tell how many of the last axes of an attention's kernel are outputs; 0 where it is none."""
    if len(shape) != 3 or not layer:
        return 0
    *owner, own = layer
    own = own.removesuffix("_dense")
    attends = any((*owner, f"query{ending}", "kernel") in others for ending in ("", "_dense"))
    if attends and own in WRITES_HEADS:
        return 2
    if attends and own in READS_HEADS:
        return 1
    bias = others.get((*layer, "bias"))
    return 2 if bias is not None and bias.shape == shape[1:] else 0
