"""From what has become of a layer to what is probably wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.reordering import Finding, find_orders, is_transposed
from wwopt.comparison.rescaling import find_scales

if TYPE_CHECKING:
    from wwopt.comparison.changes import Change
    from wwopt.comparison.network import Versions
    from wwopt.comparison.thresholds import Thresholds

__all__ = ["diagnose", "diagnose_vectors"]

UNRELATED = 0.2  # cosine below which a layer has nothing of the reference left
OUTGROWN = 4.0  # shift from which on a layer has grown as in a diverging training, rather than been drawn anew
MORE_ZEROS = 0.3
FEWEST_CLIPPED = 8


def diagnose(versions: Versions, thresholds: Thresholds) -> dict[str, Finding]:
    """Explain every layer that has changed in a way that matters; layers that need no word are left out."""
    orders = find_orders(versions, thresholds)
    scales = find_scales(versions, thresholds)
    findings: dict[str, Finding] = {}
    drift = float(np.median([change.shift for change in versions.changes.values()] or [0.0]))
    for name, change in versions.changes.items():
        finding = (
            _broken_values(change)
            or _transposed(versions, name, thresholds)
            or orders.get(name)
            or (scales[name] if name in scales and scales[name].harmless else None)
            or _lost_values(change, thresholds)
            or scales.get(name)
            or _moved_too_far(change, thresholds)
            or _drifted(change, drift, thresholds)
        )
        if finding is not None:
            findings[name] = finding
    return findings


def diagnose_vectors(versions: Versions, thresholds: Thresholds) -> Iterator[tuple[str, Finding]]:
    """Explain the biases, gains and statistics that are broken: not finite, or gains that have gone too far."""
    for name, after in versions.after.items():
        vectors = versions.vectors(name)
        if not np.isfinite(after).all():
            yield (
                name,
                Finding(False, "non-finite", f"{_count(int((~np.isfinite(after)).sum()), len(after))} not finite"),
            )
        elif vectors is not None and name.endswith(".weight"):
            before, _ = vectors
            distance = float(np.linalg.norm(after - before))
            if distance > thresholds.distance * float(np.linalg.norm(before)) > 0 and not _taken_back(name, versions):
                yield (
                    name,
                    Finding(False, "changed", f"a gain that has moved by more than its own size ({distance:.3g})"),
                )


def _taken_back(name: str, versions: Versions) -> bool:
    """Whether some layer's inputs have shrunk as this gain has grown."""
    before, after = versions.before[name], versions.after[name]
    return any(
        len(change.before[1]) == len(before) and np.allclose(change.factors(1) * after, before, rtol=0.05)
        for change in versions.changes.values()
    )


def _broken_values(change: Change) -> Finding | None:
    if change.non_finite:
        return Finding(False, "non-finite", f"{_count(change.non_finite, change.size)} not finite")
    if not math.isfinite(change.distance):
        return Finding(False, "reference", "the reference has values that are not finite, or none but zeros")
    return None


def _transposed(versions: Versions, name: str, thresholds: Thresholds) -> Finding | None:
    if versions.changes[name].distance <= thresholds.tolerance:
        return None
    if is_transposed(versions, name, thresholds.tolerance):
        return Finding(False, "transposed", "inputs and outputs are exchanged")
    return None


def _lost_values(change: Change, thresholds: Thresholds) -> Finding | None:
    """Pruned, put on a grid that is too coarse, clipped, or of lower rank."""
    if change.zeros >= thresholds.zeros and change.zeros - change.zeros_before >= MORE_ZEROS:
        return Finding(False, "pruned", f"{change.zeros:.0%} of its values are zero, before {change.zeros_before:.0%}")
    if change.steps < thresholds.steps and change.steps < change.steps_before / 2:
        bits = math.ceil(math.log2(change.steps + 1))
        return Finding(
            False,
            "quantized",
            f"on a grid of {change.steps:.0f} steps, {bits} bits, at a distance of {change.distance:.2f}",
        )
    clipped = change.clipped * change.size
    if change.clipped > max(thresholds.clipped, 4 * change.clipped_before) and clipped >= FEWEST_CLIPPED:
        return Finding(False, "clipped", f"{change.clipped:.1%} of its values are cut off at the largest")
    if change.rank_lost > thresholds.rank_lost:
        return Finding(False, "rank", f"{change.rank_lost:.0%} of its directions are gone")
    return None


def _moved_too_far(change: Change, thresholds: Thresholds) -> Finding | None:
    if change.cosine < UNRELATED:
        if change.shift < OUTGROWN:
            return Finding(
                False, "unrelated", f"nothing of the reference is left (cosine {change.cosine:.2f}): drawn anew?"
            )
        return Finding(
            False,
            "diverged",
            f"{change.distance:.1f} times its size away from the reference: a learning rate far too high?",
        )
    if change.distance > thresholds.distance:
        return Finding(False, "changed", f"{change.distance:.2f} of its size away from the reference")
    if change.shift > thresholds.shift:
        return Finding(
            False, "overlaid", f"few directions or elements outweigh the layer: {change.shift:.2g} times its largest"
        )
    return None


def _drifted(change: Change, drift: float, thresholds: Thresholds) -> Finding | None:
    """Where the whole network has moved, each layer that has moved as far is broken."""
    if drift <= thresholds.drift or change.shift <= thresholds.drift:
        return None
    message = f"shifted by {change.shift:.2g} of its largest direction, as most layers: a learning rate far too high?"
    return Finding(False, "diverged", message)


def _count(part: int, whole: int) -> str:
    return f"{part} of {whole} values {'is' if part == 1 else 'are'}"
