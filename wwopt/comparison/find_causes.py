"""Diagnosis of changed layers: from measured changes to their probable causes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.cause import Cause
from wwopt.comparison.changes import FEWEST
from wwopt.comparison.reordering import find_reorderings, is_transposed
from wwopt.comparison.rescaling import find_rescalings, is_uniform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wwopt.arrays import Floats
    from wwopt.comparison.before_after import Versions
    from wwopt.comparison.changes import Change
    from wwopt.comparison.thresholds import Thresholds

__all__ = ["find_causes", "find_vector_causes"]

UNRELATED = 0.2  # cosine below which a layer has nothing in common with the reference
OUTGROWN = 4.0  # shift from which on a layer has grown as in a diverging training, rather than been reinitialised
MORE_ZEROS = 0.3  # share of elements that must have become zero for a layer to count as pruned
FEWEST_CLIPPED = 8  # elements


def find_causes(versions: Versions, thresholds: Thresholds) -> dict[str, Cause]:
    """Explain every layer that has changed in a way that matters, by layer name; the others are left out."""
    reordered = find_reorderings(versions, thresholds)
    rescaled = find_rescalings(versions, thresholds)
    drift = float(np.median([change.shift for change in versions.changes.values()] or [0.0]))
    causes: dict[str, Cause] = {}
    for name, change in versions.changes.items():
        rescaling = rescaled.get(name)
        cause = (
            _broken_values(change)
            or _transposed(versions, name, thresholds)
            or reordered.get(name)
            or (rescaling if rescaling and (rescaling.harmless or is_uniform(change, thresholds)) else None)
            or _wrong_scales(change)
            or _lost_values(change, thresholds)
            or (None if _is_folded(change) else rescaling or _moved_too_far(change, thresholds))
            or (None if change.coding else _drifted(change, drift, thresholds))
        )
        if cause is not None:
            causes[name] = cause
    return causes


def find_vector_causes(versions: Versions, thresholds: Thresholds) -> Iterator[tuple[str, Cause]]:
    """Explain the broken biases, gains and running statistics: not finite, or gains that have moved too far."""
    for name, after in versions.after.items():
        cause = _broken_vector(after) or _runaway_gain(versions, name, thresholds)
        if cause is not None:
            yield name, cause


def _broken_vector(after: Floats) -> Cause | None:
    broken = int((~np.isfinite(after)).sum())
    return Cause("non-finite", _not_finite(broken, len(after))) if broken else None


def _runaway_gain(versions: Versions, name: str, thresholds: Thresholds) -> Cause | None:
    vectors = versions.vectors(name)
    if vectors is None or not name.endswith(".weight"):
        return None
    before, after = vectors
    distance = float(np.linalg.norm(after - before))
    if distance > thresholds.distance * float(np.linalg.norm(before)) > 0 and not _is_compensated(name, versions):
        return Cause("changed", f"the gain moved by more than its own norm ({distance:.3g})")
    return None


def _is_compensated(gain: str, versions: Versions) -> bool:
    """Whether some layer's inputs have shrunk as this gain has grown."""
    before, after = versions.before[gain], versions.after[gain]
    return any(
        len(change.before[1]) == len(before) and np.allclose(change.factors(1) * after, before, rtol=0.05)
        for change in versions.changes.values()
    )


def _broken_values(change: Change) -> Cause | None:
    if change.non_finite:
        return Cause("non-finite", _not_finite(change.non_finite, change.size))
    if not math.isfinite(change.distance):
        return Cause("reference", "the reference is all zeros, or holds values that are not finite")
    return None


def _transposed(versions: Versions, name: str, thresholds: Thresholds) -> Cause | None:
    if versions.changes[name].distance <= thresholds.tolerance:
        return None
    if is_transposed(versions, name, thresholds.tolerance):
        return Cause("transposed", "inputs and outputs are exchanged")
    return None


def _lost_values(change: Change, thresholds: Thresholds) -> Cause | None:
    """Pruning, quantisation to too few steps, clipping, or a lower rank."""
    if change.zeros >= thresholds.zeros and change.zeros - change.zeros_before >= MORE_ZEROS:
        return Cause("pruned", f"{change.zeros:.0%} of its values are zero, in the reference {change.zeros_before:.0%}")
    if change.coding is not None:
        reason = f"lost {change.loss:.0%} of its norm: {change.coding.form}"
        return Cause("quantized", reason) if change.loss > thresholds.loss else _lost_rank(change, thresholds)
    if change.steps < thresholds.steps and change.steps < change.steps_before / 2:
        bits = math.ceil(math.log2(change.steps + 1))
        return Cause(
            "quantized",
            f"quantised to {change.steps:.0f} steps ({bits} bits), a relative change of {change.distance:.2f}",
        )
    clipped = change.clipped * change.size
    if change.clipped > max(thresholds.clipped, 4 * change.clipped_before) and clipped >= FEWEST_CLIPPED:
        return Cause("clipped", f"clipped: {change.clipped:.1%} of its values are as large as the largest")
    return _lost_rank(change, thresholds)


def _lost_rank(change: Change, thresholds: Thresholds) -> Cause | None:
    if change.rank_lost > thresholds.rank_lost and change.size >= FEWEST:
        return Cause("rank", f"its rank fell: {change.rank_lost:.0%} of its directions are lost")
    return None


def _is_folded(change: Change) -> bool:
    """Whether what moved a quantised layer is explained by factors that another layer may have taken."""
    return change.blocks is not None and change.blocks.folded


def _wrong_scales(change: Change) -> Cause | None:
    """Blocks of a quantised layer that are scaled as no rounding scales them."""
    blocks = change.blocks
    if blocks is None or change.coding is None or not blocks.wrong:
        return None
    return Cause(
        "scaled",
        f"the scales of {blocks.wrong} of its {blocks.count} blocks are wrong, by {blocks.low:.3g} to "
        f"{blocks.high:.3g} ({change.coding.form}): those of another layer or block?",
    )


def _moved_too_far(change: Change, thresholds: Thresholds) -> Cause | None:
    if change.cosine < UNRELATED and change.shift < OUTGROWN:
        return Cause("unrelated", f"unrelated to the reference (cosine {change.cosine:.2f}); reinitialised?")
    if change.cosine < UNRELATED:
        return Cause("diverged", f"moved by {change.distance:.1f} times its norm; was the learning rate far too high?")
    if change.distance > thresholds.distance:
        return Cause("changed", f"moved by {change.distance:.2f} times its norm")
    if change.shift > thresholds.shift:
        return Cause(
            "overlaid", f"a few directions or elements moved by {change.shift:.2g} times its largest singular value"
        )
    return None


def _drifted(change: Change, drift: float, thresholds: Thresholds) -> Cause | None:
    """Drift of the whole network: each layer that moved as far as most is broken."""
    if drift <= thresholds.drift or change.shift <= thresholds.drift:
        return None
    message = (
        f"moved by {change.shift:.2g} times its largest singular value, as most layers did; "
        "was the learning rate far too high?"
    )
    return Cause("diverged", message)


def _not_finite(part: int, whole: int) -> str:
    return f"{part} of {whole} values {'is' if part == 1 else 'are'} not finite"
