"""`open_weights`: the weight matrices of a module, a state dict, a file, a folder or a model on a hub."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wwopt.weights.folders import quantization_settings, read_folder, read_index
from wwopt.weights.formats.foreign import refuse_foreign
from wwopt.weights.formats.gguf import is_gguf, read_gguf
from wwopt.weights.formats.hdf5 import is_hdf5
from wwopt.weights.formats.keras import is_keras_archive, read_hdf5, read_keras
from wwopt.weights.formats.mappings import is_module, is_tensor, read_mapping
from wwopt.weights.formats.nested import weights_in
from wwopt.weights.formats.npz import read_npz
from wwopt.weights.formats.onnx import is_onnx_model, read_onnx, read_onnx_model
from wwopt.weights.formats.safetensors import read_safetensors
from wwopt.weights.formats.torch_file import is_pt2, read_pt2, read_torch
from wwopt.weights.hubs import download, is_remote
from wwopt.weights.matrices.layout import to_matrices

if TYPE_CHECKING:
    from wwopt.weights.matrices.matrix import Weights
    from wwopt.weights.tensors.tensor import NamedTensor

__all__ = ["open_weights", "read_file"]

BY_SUFFIX = {".safetensors": read_safetensors, ".npz": read_npz, ".onnx": read_onnx}
BY_CONTENT = ((is_gguf, read_gguf), (is_hdf5, read_hdf5), (is_keras_archive, read_keras), (is_pt2, read_pt2))


def open_weights(source: object) -> Weights:
    """Describe the weight matrices of a source, without reading their values.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to array, onnx.ModelProto, or path
        A model; a state dict, also inside ``{"state_dict": ...}`` and the like; a file: ``.safetensors``,
        ``*.index.json`` of shards, what ``torch.save`` (``.pt``, ``.pth``, ``.th``, ``.bin``, ``.ckpt``),
        ``torch.jit.save`` or ``torch.export.save`` writes, ``.npz``, ``.gguf``, ``.onnx``, ``.keras``, ``.h5``;
        a folder of Hugging Face, PEFT or MLflow; a name: ``hf://org/name[@revision]``, ``models:/...`` or
        ``runs:/...``.

    Returns
    -------
    Weights
        Matrices, skipped tensors and vectors, in the source's order.

    Raises
    ------
    TypeError
        The source is none of these.
    FileNotFoundError
        There is no such file.
    ValueError
        The file cannot be read, or no weight matrix is in the source.

    Examples
    --------
    >>> import numpy as np
    >>> [(m.name, m.N, m.M) for m in open_weights({"fc.weight": np.ones((10, 40)), "fc.bias": np.ones(10)}).matrices]
    [('fc', 40, 10)]
    """
    weights, label = _open(source)
    if not weights.matrices and not weights.skipped:
        raise ValueError(f"No weight matrix in {label}: it holds no tensor of two or more dimensions.")
    return weights


def _open(source: object) -> tuple[Weights, str]:
    label = f"the {type(source).__name__}"
    if isinstance(source, Mapping):
        source, label = weights_in(source, is_tensor, is_module), "the mapping"
    if is_module(source):
        from wwopt.weights.formats.modules import adapted_layers, configuration, read_module  # noqa: PLC0415  (loads torch)

        return to_matrices(read_module(source), configuration(source), adapted_layers(source)), label
    if isinstance(source, Mapping):
        return to_matrices(read_mapping(source)), label
    if is_onnx_model(source):
        return to_matrices(read_onnx_model(source)), label
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        path = download(name) if is_remote(name) else Path(name)
        return _open_path(path), name
    raise TypeError(
        "`source` must be a torch.nn.Module, a mapping of names to tensors, an onnx.ModelProto, or the path or the "
        f"name of a checkpoint, got {type(source).__name__}."
    )


def _open_path(path: Path) -> Weights:
    if path.is_dir():
        return read_folder(path, read_file)
    return to_matrices(read_file(path), quantization_settings(path.parent))


def read_file(path: Path) -> Iterable[NamedTensor]:
    """Describe the tensors of a file, whose format is told by its suffix and content.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}")
    refuse_foreign(path)
    if path.suffix == ".json":
        return read_index(path, read_file)
    by_suffix = BY_SUFFIX.get(path.suffix)
    read = by_suffix or next((reader for is_format, reader in BY_CONTENT if is_format(path)), read_torch)
    return read(path)
