"""Weights: every kind of source, described as weight matrices that are read one by one.

``open_weights`` dispatches on the source. ``formats`` describe the tensors of modules, state dicts and files,
``matrices`` turn tensors into the stacks of matrices that are analysed, ``tensors`` holds what both build on.
"""

from wwopt.weights.folders import MODEL_FILES, WEIGHT_FILES, is_cached
from wwopt.weights.formats.foreign_folders import refuse_foreign_content, refuse_foreign_folder
from wwopt.weights.formats.mappings import is_module, is_tensor
from wwopt.weights.formats.nested import weights_in
from wwopt.weights.formats.onnx import is_onnx_model
from wwopt.weights.formats.suffixes import CHECKPOINT_SUFFIXES
from wwopt.weights.hubs import is_remote
from wwopt.weights.matrices.adapters import Merged
from wwopt.weights.matrices.aligned_names import Aligned, align_names
from wwopt.weights.matrices.difference import subtract
from wwopt.weights.matrices.faults import Fault, find_faults
from wwopt.weights.matrices.fused import GATES
from wwopt.weights.matrices.lora import LowRank
from wwopt.weights.matrices.matrix import WeightMatrix, Weights
from wwopt.weights.matrices.stored import as_stored, stored_shape
from wwopt.weights.open import open_weights, read_file
from wwopt.weights.tensors.coding import Coding
from wwopt.weights.tensors.names import leaf_of
from wwopt.weights.tensors.readers import Stacked, WithFactors
from wwopt.weights.tensors.tensor import NamedTensor

__all__ = [
    "CHECKPOINT_SUFFIXES",
    "GATES",
    "MODEL_FILES",
    "WEIGHT_FILES",
    "Aligned",
    "Coding",
    "Fault",
    "LowRank",
    "Merged",
    "NamedTensor",
    "Stacked",
    "WeightMatrix",
    "Weights",
    "WithFactors",
    "align_names",
    "as_stored",
    "find_faults",
    "is_cached",
    "is_module",
    "is_onnx_model",
    "is_remote",
    "is_tensor",
    "leaf_of",
    "open_weights",
    "read_file",
    "refuse_foreign_content",
    "refuse_foreign_folder",
    "stored_shape",
    "subtract",
    "weights_in",
]
