"""`Verdict`: what the networks say about each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wwopt.arrays import Floats

__all__ = ["Rung", "Verdict"]

Rung = Literal["weights", "weights and loss", "inputs", "inputs and loss"]  # the data that a choice used


@dataclass(frozen=True)
class Verdict:
    """The order of networks for one task, with what it rests on.

    Attributes
    ----------
    order : tuple of int
        All networks, the best first; those that a gate or their answers rule out come last, in the order of their
        losses, or else their scores.
    values : ndarray, shape (networks,)
        What was ordered by, higher for a better network; comparable within one verdict only.
    agreement : ndarray, shape (networks,)
        Agreement with the vote of the others, as `wwopt.agreement` counts it: at most 1, 0 by chance; NaN where
        nobody was asked.
    competence : ndarray, shape (networks,)
        From 0, no better than a constant answer, to 1, by the training loss where it is known, else by the score.
    votes : ndarray, shape (networks,)
        Weight of each network's vote; 0 where it had none.
    no_vote : mapping of int to str
        Who had no vote, and why.
    rung : {"weights", "weights and loss", "inputs", "inputs and loss"}
        The data that was used beside the weights.
    can_tell : bool
        Whether the networks can tell who is best; else a named rule chose.
    reason : str
        Why this one is chosen, in a sentence; or why nobody can tell, and by which rule it fell back.
    contradiction : float or None
        The meter: the share of inputs at which the vote contradicts the given labels. None without labels.
    excess : float or None
        How far two competent networks agree with each other beyond what their losses say they know of the labels, times
        their agreement with the vote: above 0.08 labels look wrong. -1 without two to compare; None where no loss is
        known or claimed.
    """

    order: tuple[int, ...]
    values: Floats
    agreement: Floats
    competence: Floats
    votes: Floats
    no_vote: Mapping[int, str]
    rung: Rung
    can_tell: bool
    reason: str
    contradiction: float | None
    excess: float | None = None
