"""Layers that are rescaled: alone, or with a compensation elsewhere in the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.comparison.before_after import is_key, is_query, writes_rows
from wwopt.comparison.cause import Cause

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.comparison.before_after import Versions
    from wwopt.comparison.changes import Change
    from wwopt.comparison.thresholds import Thresholds

__all__ = ["find_rescalings", "is_uniform"]

QUANTISED = 0.5  # relative distance that a rounding to a grid may add to a factor
OF_FEW_BITS = 0.3  # what four bits and fewer leave of a change that factors explain
EPSILON = 1e-5  # torch's default in a batch normalisation
FREEDOM = 8  # elements beyond the factors, with which an agreement is no coincidence
EXACT = 0.03  # relative deviation up to which two factors count as one


@dataclass(frozen=True)
class _Scaled:
    """A layer that equals the reference's but for factors along an axis; ``uniform`` where all are the same."""

    layer: str
    factors: tuple[Floats, Floats]  # of rows, of columns
    explained: tuple[bool, bool]  # whether those of rows, those of columns explain the change
    uniform: float | None
    free: bool = False  # nearly as many factors as elements, which explain any change


def find_rescalings(versions: Versions, thresholds: Thresholds) -> dict[str, Cause]:
    """Explain the layers that have changed by factors only, and whether something compensates for them."""
    scaled = {
        name: one for name, change in versions.changes.items() if (one := _scaled(name, change, thresholds)) is not None
    }
    causes = {name: _explain(one, scaled, versions) for name, one in scaled.items()}
    return {name: cause for name, cause in causes.items() if cause.harmless or not scaled[name].free}


def _scaled(name: str, change: Change, thresholds: Thresholds) -> _Scaled | None:
    """Determine the factors, where they explain the change and one of them is large enough to matter."""
    if change.distance <= thresholds.scale or not math.isfinite(change.distance):
        return None
    smallest = math.log1p(thresholds.scale)
    if is_uniform(change, thresholds):
        free = change.size - 1 < FREEDOM
        return _Scaled(name, (change.factors(0), change.factors(1)), (True, True), change.scale, free)
    tolerance = thresholds.tolerance
    if change.coding is not None:  # rounding looks like factors where one element outweighs its row or column
        tolerance = OF_FEW_BITS if change.remainder(None) > OF_FEW_BITS else 0.0
    explained = tuple(_explains(change, axis, smallest, tolerance) for axis in (0, 1))
    if not any(explained):
        return None
    free = not any(yes and change.size - len(change.before[axis]) >= FREEDOM for axis, yes in enumerate(explained))
    return _Scaled(name, (change.factors(0), change.factors(1)), (explained[0], explained[1]), None, free)


def is_uniform(change: Change, thresholds: Thresholds) -> bool:
    """Whether one factor, large enough to matter, is all that has happened to a layer but for rounding."""
    rest, on_grid = change.remainder(None), math.isfinite(change.steps) or change.coding is not None
    close = rest < (QUANTISED if on_grid else thresholds.tolerance)
    return close and change.scale > 0 and abs(math.log(change.scale)) > max(math.log1p(thresholds.scale), rest)


def _explains(change: Change, axis: int, smallest: float, tolerance: float) -> bool:
    """Whether one factor for each row, or each column, leaves little of the change."""
    if change.remainder(axis) > min(tolerance, change.remainder(None) / 3):
        return False
    factors = change.factors(axis)[change.before[axis] > 0]
    return bool(factors.all() and ((factors < 0).any() or np.abs(np.log(np.abs(factors))).max() > smallest))


def _explain(one: _Scaled, scaled: dict[str, _Scaled], versions: Versions) -> Cause:
    reason = (
        _statistics(one, versions)
        or _folded(one, versions)
        or _norm(one, versions)
        or _embeddings(one, scaled, versions)
        or _partner(one, scaled, versions)
        or _gain(one, versions)
    )
    if reason:
        return Cause("", f"{_factor(one)}, {reason}")
    return Cause("scaled", f"{_factor(one)}, and nothing compensates for it{_hint(one, versions)}")


def _factor(one: _Scaled) -> str:
    if one.uniform is not None:
        return f"scaled by {one.uniform:.3g}"
    axis = 0 if one.explained[0] else 1
    factors = one.factors[axis]
    return f"{('rows', 'columns')[axis]} scaled by {factors.min():.3g} to {factors.max():.3g}"


def _written(one: _Scaled, versions: Versions) -> Floats | None:
    """Factors of the outputs; None where they do not explain the change."""
    axis = 0 if writes_rows(versions.pairs[one.layer][0]) else 1
    return one.factors[axis] if one.explained[axis] else None


def _read(one: _Scaled, versions: Versions) -> Floats | None:
    """Factors of the inputs; None where they do not explain the change."""
    axis = 1 if writes_rows(versions.pairs[one.layer][0]) else 0
    return one.factors[axis] if one.explained[axis] else None


def _statistics(one: _Scaled, versions: Versions) -> str:
    """Compensation by a batch normalisation whose running statistics have changed with the layer."""
    factors, following = _written(one, versions), versions.norm_after(one.layer)
    if factors is None:
        return ""
    for stem in [following] if following else versions.norms():
        variances, means = versions.vectors(f"{stem}.running_var"), versions.vectors(f"{stem}.running_mean")
        if variances is None or means is None or len(variances[0]) != len(factors):
            continue
        width, now = (np.sqrt(np.maximum(variance, 0)) for variance in variances)
        size = np.abs(factors) * (width + np.abs(means[0]))
        if _close(now, factors * width, width) and _close(means[1], factors * means[0], float(size.max())):
            return f"which {stem} removes: its running statistics changed with it"
    return ""


def _folded(one: _Scaled, versions: Versions) -> str:
    """Folding of a batch normalisation, which the candidate no longer has, into the layer."""
    factors, stem = _written(one, versions), versions.norm_after(one.layer)
    variance = versions.before.get(f"{stem}.running_var")
    if factors is None or variance is None or f"{stem}.running_var" in versions.after:
        return ""
    expected = versions.before[f"{stem}.weight"] / np.sqrt(variance + EPSILON)
    return f"since {stem} was folded into it" if _close(factors, expected, np.abs(expected)) else ""


def _norm(one: _Scaled, versions: Versions) -> str:
    """Compensation by a normalisation without statistics that alone reads the layer, as none does beside attention."""
    if one.uniform is None or one.uniform <= 0 or not _bias_scaled(one, versions):
        return ""
    if versions.pairs[one.layer][0].layer_type == "embedding" or versions.has_attention:
        return ""
    stem = versions.norm_after(one.layer)
    if stem is None or f"{stem}.running_var" in versions.before:
        return ""
    return f"which {stem} removes" if _unchanged(versions, f"{stem}.weight") else ""


def _embeddings(one: _Scaled, scaled: dict[str, _Scaled], versions: Versions) -> str:
    """Compensation by the normalisation of a sum of embeddings, all scaled alike."""
    parent = one.layer.rpartition(".")[0]
    if one.uniform is None or one.uniform <= 0 or versions.pairs[one.layer][0].layer_type != "embedding":
        return ""
    together = [name for name, (before, _) in versions.pairs.items()
                if before.layer_type == "embedding" and name.rpartition(".")[0] == parent]  # fmt: skip
    factors = [scaled[name].uniform if name in scaled else None for name in together]
    alike = all(factor is not None and abs(factor / one.uniform - 1) <= EXACT for factor in factors)
    stem = next((stem for stem in versions.norms() if stem.rpartition(".")[0] == parent), None)
    return f"as are all embeddings that {stem} normalises, which removes it" if alike and stem else ""


def _partner(one: _Scaled, scaled: dict[str, _Scaled], versions: Versions) -> str:
    """Compensation by another layer whose inputs have the inverse factors of this one's outputs, or vice versa."""
    written, read = _written(one, versions), _read(one, versions)
    for name, other in scaled.items():
        if name == one.layer:
            continue
        if written is not None and _inverse(written, _read(other, versions)) and _bias_scaled(one, versions):
            return f"which {name} compensates for"
        if read is not None and _inverse(_written(other, versions), read) and _bias_scaled(other, versions):
            return f"which compensates for {name}"
        if (is_query(one.layer) and is_key(name)) or (is_key(one.layer) and is_query(name)):
            theirs = _written(other, versions)
            if written is not None and theirs is not None and _inverse(written, theirs):
                return f"which {name} compensates for"
    return ""


def _gain(one: _Scaled, versions: Versions) -> str:
    """Compensation by a normalisation before the layer whose gain and bias have the inverse factors."""
    read = _read(one, versions)
    if read is None:
        return ""
    for stem in versions.norms():
        gains, biases = versions.vectors(f"{stem}.weight"), versions.vectors(f"{stem}.bias")
        if gains is None or len(gains[0]) != len(read):
            continue
        if all(pair is None or _close(pair[1] * read, pair[0], np.abs(pair[0])) for pair in (gains, biases)):
            return f"which {stem} compensates for"
    return ""


def _hint(one: _Scaled, versions: Versions) -> str:
    """Hint at stale running statistics: had they been updated, the normalisation would compensate."""
    stem = versions.norm_after(one.layer)
    stale = stem is not None and _unchanged(versions, f"{stem}.running_var")
    return f"; the running statistics of {stem} are stale" if stale else ""


def _inverse(written: Floats | None, read: Floats | None) -> bool:
    """Whether factors of inputs are the inverse of factors of outputs; each unit may be read several times in a row."""
    if written is None or read is None or len(read) % len(written) or not (written > 0).all():
        return False
    return _close(np.repeat(written, len(read) // len(written)) * read, np.ones(len(read)), 1.0)


def _bias_scaled(one: _Scaled, versions: Versions) -> bool:
    vectors, factors = versions.vectors(f"{one.layer}.bias"), _written(one, versions)
    if vectors is None or factors is None or len(vectors[0]) != len(factors):
        return True
    return _close(vectors[1], factors * vectors[0], float(np.abs(factors * vectors[0]).max()))


def _unchanged(versions: Versions, vector: str) -> bool:
    vectors = versions.vectors(vector)
    return vectors is not None and _close(vectors[1], vectors[0], np.abs(vectors[0]))


def _close(actual: Floats, expected: Floats, size: Floats | float) -> bool:
    """Whether two vectors agree up to rounding, relative to ``size``."""
    return bool((np.abs(actual - expected) <= EXACT * np.maximum(np.abs(expected), size)).all())
