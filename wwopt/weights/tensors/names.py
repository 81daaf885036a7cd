"""Names of tensors, whatever joins their parts: dots in PyTorch, slashes in Flax, Haiku, Keras and TensorFlow."""

from __future__ import annotations

import re

__all__ = ["WEIGHTS", "leaf_of", "parts_of"]

WEIGHTS = re.compile(r"(.*_)?(weights?|kernel)(_.*)?|w|embeddings?")  # of what a layer multiplies by, or looks up
NUMBERED = re.compile(r":\d+$")  # TensorFlow numbers the outputs of an operation


def parts_of(name: str) -> list[str]:
    """Split a name into modules and the tensor.

    >>> parts_of("encoder/layer_0/dense/kernel:0")
    ['encoder', 'layer_0', 'dense', 'kernel']
    """
    return NUMBERED.sub("", name).replace("/", ".").split(".")


def leaf_of(name: str) -> str:
    """Return the last part of a name.

    >>> leaf_of("layer1.0.conv1.weight")
    'weight'
    """
    return parts_of(name)[-1]
