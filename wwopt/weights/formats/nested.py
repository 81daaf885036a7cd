"""Training checkpoints: the state dict or module inside the mapping that a training loop saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["weights_in"]

AVERAGES = ("ema", "model_ema", "ema_model")  # of the weights over training; some keep nothing else
CONTAINERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", *AVERAGES)
OPTIMIZER = {"state", "param_groups"}
DEEPEST = 8

IsA = Callable[[object], bool]


def weights_in(content: Mapping[Any, Any], is_tensor: IsA, is_module: IsA) -> Any:
    """Find the state dict or the module inside a training checkpoint, such as ``{"state_dict": {...}, "epoch": 3}``.

    Tensors beside it are kept. The names of several networks, and of nested parameters, are joined by dots.

    Parameters
    ----------
    content : mapping
        The checkpoint.
    is_tensor, is_module : callable
        Predicates for the values; both kinds differ between memory and files.

    Returns
    -------
    mapping or module
        Tensors by name, perhaps with other values; or the module.

    Examples
    --------
    >>> weights_in({"epoch": 3, "model": {"fc.weight": 1.0}}, lambda x: isinstance(x, float), callable)
    {'fc.weight': 1.0}
    >>> weights_in({"student": {"w": 1.0}, "teacher": {"w": 2.0}}, lambda x: isinstance(x, float), callable)
    {'student.w': 1.0, 'teacher.w': 2.0}
    """
    for _ in range(DEEPEST):
        candidates = [content[key] for key in CONTAINERS if key in content]
        inner = next((value for value in candidates if is_module(value) or _holds_tensors(value, is_tensor)), None)
        if inner is None:
            return _joined(content, is_tensor)
        if is_module(inner):
            return inner
        beside = {name: value for name, value in content.items() if is_tensor(value) and name not in inner}
        content = {**inner, **beside}
    return content


def _joined(content: Mapping[Any, Any], is_tensor: IsA) -> Mapping[Any, Any]:
    networks = [value for value in content.values() if _holds_tensors(value, is_tensor)]
    if not networks:
        return content
    if len(networks) == 1 and all("." in str(name) for name in networks[0]):
        own = {name: value for name, value in content.items() if is_tensor(value)}
        return {**networks[0], **own}
    return dict(_tensors(content, is_tensor, set()))


def _holds_tensors(value: object, is_tensor: IsA) -> bool:
    return isinstance(value, Mapping) and next(_tensors(value, is_tensor, set()), None) is not None


def _tensors(
    content: Mapping[Any, Any], is_tensor: IsA, seen: set[int], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of nested mappings, without an optimizer's; each mapping once."""
    seen.add(id(content))
    for key, value in content.items():
        if is_tensor(value):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping) and id(value) not in seen and depth < DEEPEST and not value.keys() >= OPTIMIZER:
            yield from _tensors(value, is_tensor, seen, f"{prefix}{key}.", depth + 1)
