"""Consensus: networks for one task, asked the same inputs, judge each other."""

from wwopt.consensus.agree import agreement
from wwopt.consensus.choose import choose
from wwopt.consensus.outcome import Rung, Verdict
from wwopt.consensus.twins import sketch

__all__ = ["Rung", "Verdict", "agreement", "choose", "sketch"]
