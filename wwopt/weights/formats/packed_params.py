"""Packed parameters of PyTorch's quantised layers: a weight and its bias in one object, in files and in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wwopt.weights.formats.pickle_stubs import Record

__all__ = ["PACKED", "packed_tensors"]

PACKED = "_packed_params"
DEEPEST = 8
OF_RECURRENT = re.compile(r"(?P<owner>.*?)_all_weight_values\.(?P<layer>\d+)\.param\.$")


def packed_tensors(name: str, packed: object, is_tensor: Callable[[object], bool]) -> Iterator[tuple[str, Any]]:
    """Yield the weights and the bias of a packed object, by their names in the layer that is not quantised.

    Parameters
    ----------
    name : str
        Of the object, with a dot at its end: ``0._packed_params._packed_params.``
    packed : object
        Tuple, list, `Record` or object of C++ with tensors somewhere inside.
    is_tensor : callable
        Predicate for these; they differ between memory and files.

    Examples
    --------
    >>> import numpy as np
    >>> parts = packed_tensors("fc._packed_params.", (np.ones((2, 3)), np.ones(2)), lambda x: isinstance(x, np.ndarray))
    >>> [key for key, _ in parts]
    ['fc.weight', 'fc.bias']
    """
    found = list(_tensors(packed, is_tensor, DEEPEST))
    weights = [tensor for tensor in found if len(_shape(tensor)) != 1]
    match = OF_RECURRENT.match(name)
    if match is not None:
        yield from (
            (f"{match['owner']}weight_{kind}_l{match['layer']}", weight)
            for kind, weight in zip(("ih", "hh"), weights, strict=False)
        )
    elif weights:
        owner = _owner(name)
        yield f"{owner}weight", weights[0]
        bias = next((tensor for tensor in found if _shape(tensor) == _shape(weights[0])[:1] != ()), None)
        if bias is not None:
            yield f"{owner}bias", bias


def _owner(name: str) -> str:
    while name.endswith(f"{PACKED}."):
        name = name.removesuffix(f"{PACKED}.")
    return name


def _shape(tensor: Any) -> tuple[int, ...]:
    """Shape of a tensor, of the codes of a quantised one; empty where it cannot be read."""
    shape = getattr(getattr(tensor, "codes", tensor), "shape", ())
    return tuple(shape) if isinstance(shape, (tuple, list)) else ()


def _tensors(value: Any, is_tensor: Callable[[object], bool], depth: int) -> Iterator[Any]:
    if is_tensor(value):
        yield value
    elif depth and isinstance(value, Record) and not isinstance(value.state, Mapping):
        yield from _tensors(value.state, is_tensor, depth - 1)
    elif depth and isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item, is_tensor, depth - 1)
    elif depth and type(value).__name__ == "ScriptObject":  # torch's own, in memory
        yield from _tensors(value.__getstate__(), is_tensor, depth - 1)
