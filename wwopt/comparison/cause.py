"""`Cause`: the explanation of a layer's change."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cause"]


@dataclass(frozen=True)
class Cause:
    """Explanation of a layer's change.

    Attributes
    ----------
    fault : str
        Kind of fault, as `docs/watching.md` lists them; empty where the network computes the same function.
    message : str
        What happened, for people.
    """

    fault: str
    message: str

    @property
    def harmless(self) -> bool:
        """Whether the network computes the same function as before."""
        return not self.fault
