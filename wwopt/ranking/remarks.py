"""Remarks on a ranking: what to keep in mind, and what is wrong with its input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wwopt.ranking.architecture import same_family
from wwopt.ranking.rows import BROKEN, NOT_MEASURED

if TYPE_CHECKING:
    import pandas as pd

    from wwopt.analysis import Analysis
    from wwopt.ranking.choose_metric import MetricChoice
    from wwopt.ranking.rows import Network

__all__ = ["cautions", "duplicates", "strangers"]


def cautions(choice: MetricChoice, networks: Sequence[Network], table: pd.DataFrame) -> Iterator[str]:
    """Say what makes the ranking less certain than it looks."""
    if choice.warning:
        yield choice.warning
    tables = [network.name for network in networks if not network.analysis.spectra and len(network.analysis.details)]
    if tables and len(tables) < len(networks):
        yield f"A table holds less than weights do, so fewer faults count in the score of {', '.join(tables)}."
    broken = table.index[table["status"] == BROKEN]
    if len(broken):
        yield f"Broken, and ranked behind all others: {', '.join(map(str, broken))}."
    for name in table.index[table["status"] == NOT_MEASURED]:
        yield f"{name} was not measured, which says nothing about it: {table.loc[name, 'note']}"
    tied = table.index[table["tied"] & (table["rank"] > 1)]
    if len(tied):
        yield f"{table.index[0]} ties with {', '.join(map(str, tied))}: their layers do not tell which is better."


def duplicates(networks: Sequence[Network]) -> Iterator[str]:
    """Name networks whose layers are identical."""
    alike: dict[str, list[str]] = {}
    for network in networks:
        if len(network.analysis.details):
            alike.setdefault(_fingerprint(network.analysis), []).append(network.name)
    yield from (f"{', '.join(names)}: one network under several names" for names in alike.values() if len(names) > 1)


def strangers(networks: Sequence[Network]) -> Iterator[str]:
    """Name networks that share neither a shape nor a family with any other."""
    for network in networks:
        ours = network.architecture
        others = [other.architecture for other in networks if other is not network]
        related = any(set(ours.shapes) & set(other.shapes) or same_family([ours, other]) for other in others)
        if others and not related:
            yield f"{network.name}: no layer in common with any other candidate"


def _fingerprint(analysis: Analysis) -> str:
    """Return the same for networks whose layers have the same shapes and spectra."""
    columns = ["N", "M", "alpha", "norm", "spectral_norm", "log_norm"]
    return hashlib.sha256(analysis.details[columns].to_numpy(dtype=float).tobytes()).hexdigest()
