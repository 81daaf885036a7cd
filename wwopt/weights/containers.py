"""What training loops put around the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["weights_in"]

CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
DEEPEST = 8


def weights_in(
    content: Mapping[Any, Any], is_tensor: Callable[[object], bool], is_module: Callable[[object], bool]
) -> Any:
    """Find the state dict or the module inside a training checkpoint: ``{"state_dict": {...}, "epoch": 3}``.

    Examples
    --------
    >>> weights_in({"epoch": 3, "model": {"fc.weight": 1.0}}, lambda x: isinstance(x, float), callable)
    {'fc.weight': 1.0}
    """
    for _ in range(DEEPEST):
        if any(is_tensor(value) for value in content.values()):
            return content
        candidates = [content[key] for key in CONTAINERS if key in content]
        inner = next((value for value in candidates if is_module(value) or isinstance(value, Mapping)), None)
        if inner is None:
            return content
        if is_module(inner):
            return inner
        content = inner
    return content
