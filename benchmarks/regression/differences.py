"""Where two results differ, by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["differences", "readable"]

NOTHING = "(nothing)"


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path and both values of everything that is not equal, the order of keys included."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key, NOTHING), new.get(key, NOTHING), f"{path}/{key}")
        if old.keys() == new.keys() and list(old) != list(new):
            yield f"{path} (order)", list(old), list(new)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (ours, theirs) in enumerate(zip(old, new, strict=True)):
            yield from differences(ours, theirs, f"{path}/{place}")
    elif type(old) is not type(new) or old != new:
        yield path, old, new


def readable(value: Any) -> str:
    """Show a value; a hexadecimal float in decimal too."""
    try:
        return f"{float.fromhex(value)!r} ({value})"
    except (TypeError, ValueError, OverflowError):
        text = repr(value)
        return text if len(text) <= 300 else text[:300] + " ..."
