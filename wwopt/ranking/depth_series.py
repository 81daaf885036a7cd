"""Series of depths: one architecture, trained to the end at each of several depths, as model zoos publish it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.ranking.rows import Network

__all__ = ["ALPHA_WEIGHTED", "why_no_series"]

ALPHA_WEIGHTED = "alpha_weighted"
FAULTS = ("noise", "no-fit", "trapped")  # findings of layers that were not trained to a good end
MOST_FAULTS = 0.1  # share of the layers that may have one


def why_no_series(networks: Sequence[Network]) -> str:
    """Say why networks of one family are no series of depths, which `alpha_weighted` orders; empty where they are.

    In a published series each network has a depth of its own, is sound, and the deeper it is the smaller is its
    `alpha_weighted`. Where several networks of one depth compete, or some have failed, it chooses those that failed.
    """
    modules = [network.name for network in networks if network.is_module]
    if modules:
        return f"{modules[0]} is a module, and of networks that are trained here some fail"
    ordered = sorted(networks, key=_depth)
    for one, other in pairwise(ordered):
        if _depth(one) == _depth(other):
            return f"{one.name} and {other.name} have the same depth"
    for network in networks:
        if network.analysis.broken:
            return f"{network.name} is broken"
        if _faulty(network) > MOST_FAULTS:
            return f"{_faulty(network):.1%} of the layers of {network.name} are noise, trapped or without a fit"
    for one, other in pairwise(ordered):
        if _value(one) <= _value(other):
            return f"{other.name} is deeper than {one.name} without a smaller `alpha_weighted`"
    return ""


def _depth(network: Network) -> int:
    return len(network.architecture.shapes)


def _value(network: Network) -> float:
    return network.analysis.summary[ALPHA_WEIGHTED]


def _faulty(network: Network) -> float:
    """Share of the layers with a finding of `FAULTS`."""
    layers = {finding.layer for finding in network.analysis.findings if finding.key in FAULTS}
    return len(layers) / max(len(network.analysis.details), 1)
