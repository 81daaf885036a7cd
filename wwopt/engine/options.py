"""Names of the options of `wwopt.analyze`, for whoever takes them as ``**options`` and passes them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches

from wwopt.engine.settings import Settings

__all__ = ["OPTIONS", "check_options"]

OPTIONS = (*(field.name for field in fields(Settings)), "device", "executor", "cache", "progress")


def check_options(names: Iterable[str]) -> None:
    """Check that `wwopt.analyze` has options of these names.

    Parameters
    ----------
    names : iterable of str
        Such as the keys of ``**options``.

    Raises
    ------
    TypeError
        One of them is unknown; the message suggests the nearest that is known.

    Examples
    --------
    >>> check_options({"min_eval": 20})
    Traceback (most recent call last):
    ...
    TypeError: `min_eval` is not an option of `wwopt.analyze`; did you mean `min_evals`?
    """
    for name in names:
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"its options are {', '.join(OPTIONS)}."
            raise TypeError(f"`{name}` is not an option of `wwopt.analyze`; {hint}")
