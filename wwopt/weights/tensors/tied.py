"""Detection of tied weights: tensors that share their memory."""

from __future__ import annotations

__all__ = ["Identities"]


class Identities:
    """Names by the memory that they stand for, so that tied weights are counted once.

    Examples
    --------
    >>> identities = Identities()
    >>> identities.first_name((0, (2, 2)), "encoder.weight")
    >>> identities.first_name((0, (2, 2)), "decoder.weight")
    'encoder.weight'
    """

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], str] = {}

    def first_name(self, identity: tuple[object, ...], name: str) -> str | None:
        """Return the name under which this memory was seen first; None where ``name`` is the first."""
        first = self._names.setdefault(identity, name)
        return None if first == name else first
