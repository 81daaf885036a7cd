"""Names of the options of `wwopt.analyze`, for whoever takes them as ``**options`` and passes them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches

from wwopt.engine.settings import Settings

__all__ = ["OPTIONS", "check_options"]

OPTIONS = (*(field.name for field in fields(Settings)), "device", "executor", "cache", "progress")


def check_options(names: Iterable[str], *, of: str = "wwopt.analyze", own: Iterable[str] = ()) -> None:
    """Check that `wwopt.analyze`, or what passes its options on, has options of these names.

    Parameters
    ----------
    names : iterable of str
        Such as the keys of ``**options``.
    of : str
        What the error calls the function or class that was given them.
    own : iterable of str
        Options that it has besides those of `wwopt.analyze`, to be suggested too.

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
    known = (*own, *OPTIONS)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"its options are {', '.join(known)}."
            raise TypeError(f"`{name}` is not an option of `{of}`; {hint}")
