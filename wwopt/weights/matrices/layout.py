"""`to_matrices`: named tensors as stacks of matrices, fused ones split, convolutions sliced, tied ones once."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wwopt.weights.matrices.adapters import merge_adapters
from wwopt.weights.matrices.fused import split
from wwopt.weights.matrices.kernels import is_kernel, joined
from wwopt.weights.matrices.matrix import WeightMatrix, Weights
from wwopt.weights.matrices.not_weights import reason_not_a_bias, reason_not_a_weight
from wwopt.weights.matrices.reparametrized import restore_weights
from wwopt.weights.matrices.table_values import MASK
from wwopt.weights.quantization.restore import restore_quantized
from wwopt.weights.tensors.dtypes import is_weight_dtype
from wwopt.weights.tensors.names import parts_of
from wwopt.weights.tensors.readers import Stacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wwopt.weights.tensors.adapted import AdaptedLayer
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["layer_name", "to_matrices"]

WRAPPERS = ("module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
CONVOLUTIONS = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
EMBEDDING_WORDS = ("embed", "wte", "wpe")
EMPTY = "; ZeRO-3 and FSDP leave such where a parameter was not gathered: save the full state dict"
FLAT = ("_flat_param", "flat_param")


def to_matrices(
    tensors: Iterable[NamedTensor],
    config: Mapping[str, Any] | None = None,
    adapted: Mapping[str, AdaptedLayer] | None = None,
) -> Weights:
    """Turn a source's tensors into stacks of matrices, the longer side first.

    Vectors, such as biases and the gains of a normalisation, are listed apart; every tensor of two or more dimensions
    becomes one `WeightMatrix` or several, or an entry of ``skipped``.

    Parameters
    ----------
    tensors : iterable of NamedTensor
        All tensors of the source, in its order.
    config : mapping, optional
        A model's configuration of its attention heads, as in the ``config.json`` of Hugging Face.
    adapted : mapping of str to AdaptedLayer, optional
        What a module tells of its layers with adapters.

    Raises
    ------
    ValueError
        Two tensors come out under the same name, or a layer has an adapter that cannot be merged.
    """
    tensors, parts = restore_quantized(list(tensors), config)
    tensors, skipped = merge_adapters(tensors, adapted)
    skipped += parts
    layers = _by_layer(restore_weights([tensor for tensor in tensors if not tensor.buffer]))
    names = {tensor.name: layer for layer, tensor in layers.items()}
    matrices: list[WeightMatrix] = []
    vectors: list[tuple[int, NamedTensor]] = []
    buffers = {_unwrapped(tensor.name): tensor for tensor in tensors if tensor.buffer}
    paths = {_path(layer, tensor): tensor for layer, tensor in (buffers | layers).items()}
    rest = [replace(tensor, name=name) for name, tensor in buffers.items()]
    skipped += [
        (name, reason) for name, tensor in buffers.items() if (reason := _reason_to_skip(name, tensor, names, paths))
    ]
    for layer, tensor in layers.items():
        reason = _reason_to_skip(layer, tensor, names, paths)
        if reason is not None:
            skipped.append((layer, reason))
            if reason != MASK:  # whose infinities are no fault
                rest.append(replace(tensor, name=layer))
        elif len(tensor.shape) > 1:
            matrices += [
                _to_matrix(name, part)
                for start, whole in joined(tensor, layer, paths)
                for name, part in split(whole, start, layers, config or {})
            ]
        elif len(tensor.shape) == 1 and tensor.unusable is None and is_weight_dtype(tensor.dtype):
            weight = ".weight" if tensor.name.endswith(".weight") else ""
            vectors.append((len(matrices), replace(tensor, name=layer + weight)))
        elif not tensor.shape:
            rest.append(replace(tensor, name=layer))
    twice = next((name for name, count in Counter(matrix.name for matrix in matrices).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"Two tensors of the source come out as the layer {twice!r}; rename one of them.")
    return Weights(tuple(matrices), tuple(skipped), tuple(vectors), tuple(filter(_has_values, rest)))


def _has_values(tensor: NamedTensor) -> bool:
    """Whether a tensor holds numbers of its own: of a weight's type, or a count of batches.

    So does a quantised weight whose codes say nothing: it is a fault of zeros.
    """
    known = is_weight_dtype(tensor.dtype) or tensor.name.endswith("num_batches_tracked")
    return (
        known
        and (tensor.unusable is None or tensor.coding is not None)
        and tensor.same_as is None
        and 0 not in tensor.shape
    )


def layer_name(tensor_name: str) -> str:
    """Dotted path of the module that owns a tensor, without the prefixes that wrappers add.

    >>> layer_name("module.layer1.0.conv1.weight")
    'layer1.0.conv1'
    """
    return _unwrapped(tensor_name).removesuffix(".weight")


def _unwrapped(tensor_name: str) -> str:
    for wrapper in WRAPPERS:
        while tensor_name.startswith(wrapper):
            tensor_name = tensor_name.removeprefix(wrapper)
        tensor_name = tensor_name.replace("." + wrapper, ".")
    return _unwrapped(tensor_name) if tensor_name.startswith(WRAPPERS) else tensor_name


def _by_layer(tensors: Iterable[NamedTensor]) -> dict[str, NamedTensor]:
    tensors = list(tensors)
    names = [_unwrapped(tensor.name) for tensor in tensors]
    if len(set(names)) < len(names):  # a module that is called as a wrapper would call it
        names = [tensor.name for tensor in tensors]
    layers: dict[str, NamedTensor] = {}
    for name, tensor in zip(names, tensors, strict=True):
        layer = name.removesuffix(".weight")
        if layer in layers and len(tensor.shape) > 1:
            raise ValueError(
                f"The tensors {layers[layer].name!r} and {tensor.name!r} both come out as the layer {layer!r}; "
                "rename one of them."
            )
        layers[layer] = tensor
    return layers


def _path(layer: str, tensor: NamedTensor) -> str:
    """Full name of a layer's tensor, joined by dots."""
    return ".".join(parts_of(f"{layer}.weight" if tensor.name.endswith(".weight") else layer))


def _reason_to_skip(  # noqa: PLR0911  (a chain of early returns)
    layer: str, tensor: NamedTensor, names: Mapping[str, str], paths: Mapping[str, NamedTensor]
) -> str | None:
    if layer.rpartition(".")[-1] in FLAT:
        return "flattened by FSDP; gather a full state dict and analyse that"
    if tensor.shape and 0 in tensor.shape and tensor.unusable is None:
        return f"empty, shape {tuple(tensor.shape)}{EMPTY if len(tensor.shape) == 1 else ''}"
    if len(tensor.shape) < 2:
        return reason_not_a_bias(_path(layer, tensor)) if tensor.shape and is_weight_dtype(tensor.dtype) else None
    if tensor.unusable is not None:
        return tensor.unusable
    if tensor.same_as is not None:
        return f"tied to {names.get(tensor.same_as, layer_name(tensor.same_as))}, counted there"
    if not is_weight_dtype(tensor.dtype):
        return f"not a weight: dtype {tensor.dtype}"
    if len(tensor.shape) > max(CONVOLUTIONS):
        return f"{len(tensor.shape)} dimensions; layers of up to {max(CONVOLUTIONS)} are known"
    return reason_not_a_weight(tensor, _path(layer, tensor), paths)


def _to_matrix(name: str, tensor: NamedTensor) -> WeightMatrix:
    layer_type = tensor.layer_type or _guess_type(name, len(tensor.shape))
    rows, columns = _axes(tensor, layer_type)
    n, m = tensor.shape[rows], tensor.shape[columns]
    return WeightMatrix(
        name=name,
        layer_type=layer_type,
        k=math.prod(tensor.shape) // (n * m),
        N=max(n, m),
        M=min(n, m),
        read=Stacked(tensor.read, rows, columns, transpose=n < m),
        scale=math.sqrt(0.5) if len(tensor.shape) == 4 else 1.0,
        transposed=n < m,
        tensor=tensor.name,
        dtype=tensor.coding.form if tensor.coding else tensor.dtype,
        shape=tensor.shape,
        coding=tensor.coding,
    )


def _axes(tensor: NamedTensor, layer_type: str) -> tuple[int, int]:
    """Return the axes of the outputs and the inputs: the first two, the last two of a kernel of Flax or Keras."""
    if layer_type == "bilinear":
        return 1, 2
    ndim = len(tensor.shape)
    known = tensor.layer_type is not None
    return (ndim - 2, ndim - 1) if not known and is_kernel(tensor.name, tensor.shape) else (0, 1)


def _guess_type(name: str, ndim: int) -> str:
    if ndim in CONVOLUTIONS:
        return CONVOLUTIONS[ndim]
    return "embedding" if any(word in name.lower() for word in EMBEDDING_WORDS) else "dense"
