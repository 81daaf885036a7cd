"""`compare`: what has become of a network, layer by layer, and what is broken."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from wwopt.comparison.causes import diagnose, diagnose_vectors
from wwopt.comparison.changes import Change, as_stored, measure_change, stored_shape
from wwopt.comparison.network import Versions, read_vectors, rename_as
from wwopt.comparison.reordering import Finding
from wwopt.comparison.thresholds import Thresholds
from wwopt.engine.analyze import analyze
from wwopt.engine.parallel import run

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from wwopt.analysis import Analysis
    from wwopt.weights import WeightMatrix, Weights

__all__ = ["Alert", "Comparison", "compare"]

SPECTRAL = ("alpha", "log_norm", "stable_rank", "num_traps", "rand_distance")
MEASURED = ("distance", "cosine", "scale", "shift", "spectrum", "rank_lost", "zeros")
UNCHANGED, CHANGED, EQUIVALENT, ALERT = "same", "changed", "equivalent", "alert"


class Alert(NamedTuple):
    """A layer that is broken: its name, the kind of fault, and a sentence on what is probably wrong."""

    name: str
    fault: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True)
class Comparison:
    """What has become of each layer.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer, index ``name``: ``status`` (``same``, ``changed``, ``equivalent`` where the network is the same
        function, ``alert``), ``fault`` and ``note``; ``distance`` ``|B - A| / |A|``, ``cosine``, ``scale``, ``shift``,
        ``spectrum``, ``rank_lost``, ``zeros``; and alpha, norm, rank, traps of both, ``..._before`` for the reference.
    alerts : tuple of Alert
        The broken layers with what is probably wrong.
    warnings : tuple of str
        What the comparison could not look at.
    thresholds : Thresholds
        The numbers that made an alert.
    """

    table: pd.DataFrame
    alerts: tuple[Alert, ...]
    warnings: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def ok(self) -> bool:
        """Whether no layer is broken."""
        return not self.alerts


def compare(
    reference: object,
    candidate: object,
    *,
    thresholds: Thresholds | None = None,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    min_evals: int = 50,
    device: str = "auto",
    executor: Executor | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Compare a network with the one it came from, without data, and name the layers that are broken.

    Parameters
    ----------
    reference, candidate : as the source of `wwopt.analyze`
        What was good, and what became of it by compression, fine-tuning or conversion.
    thresholds : Thresholds, optional
        From which numbers on a change is an alert.
    include, exclude, min_evals, device, executor, cache, progress
        As in `wwopt.analyze`. Layers with fewer than ``min_evals`` eigenvalues are compared by their weights alone.

    Returns
    -------
    Comparison
        Its ``table`` has every layer of both, its ``alerts`` the broken ones.

    Raises
    ------
    TypeError, FileNotFoundError
        As `wwopt.analyze`.
    ValueError
        A source cannot be read, or the two have no layer of the same name and shape.

    Examples
    --------
    >>> import numpy as np, wwopt
    >>> good = {"fc.weight": np.random.default_rng(0).normal(size=(80, 60))}
    >>> [str(alert) for alert in wwopt.compare(good, {"fc.weight": 10 * good["fc.weight"]}).alerts]
    ['fc: scaled by 10 and nothing takes it back']
    """
    from wwopt.weights import open_weights  # noqa: PLC0415  (as in the pipeline)

    thresholds = thresholds or Thresholds()
    options: dict[str, Any] = {"include": include, "exclude": exclude, "min_evals": min_evals, "device": device,
                               "executor": executor, "cache": cache, "progress": progress}  # fmt: skip
    before, after = open_weights(reference), open_weights(candidate)
    after, prefix = rename_as(before, after)
    chosen = _chosen(before, include, exclude)
    pairs, odd = _match(chosen, after)
    if not pairs:
        raise ValueError(_nothing_in_common(chosen, after.matrices))
    versions = _versions(before, after, pairs, executor)
    findings = odd | diagnose(versions, thresholds)
    findings |= {} if include is not None or exclude is not None else dict(diagnose_vectors(versions, thresholds))
    table = _table(chosen, versions, findings, (analyze(reference, **options), analyze(candidate, **options)), prefix)
    alerts = tuple(Alert(name, found.fault, found.message) for name, found in findings.items() if not found.harmless)
    extra = [matrix.name for matrix in after.matrices if matrix.name not in {matrix.name for matrix in before.matrices}]
    warnings = [f"not in the reference: {', '.join(extra)}"] if extra else []
    if any(prefix):
        warnings.append(f"the candidate's names begin with {prefix[1] or 'nothing'!r} for {prefix[0] or 'nothing'!r}")
    return Comparison(table, alerts, tuple(warnings), thresholds)


def _chosen(weights: Weights, include: Any, exclude: Any) -> list[WeightMatrix]:
    from wwopt.engine.settings import Settings  # noqa: PLC0415

    settings = Settings(include=include, exclude=exclude, min_evals=2)
    left_out = ("not in `include`", "in `exclude`")
    return [matrix for matrix in weights.matrices if settings.reason_to_skip(matrix) not in left_out]


def _match(
    chosen: list[WeightMatrix], after: Weights
) -> tuple[dict[str, tuple[WeightMatrix, WeightMatrix]], dict[str, Finding]]:
    """Pair the layers of one name and shape; say of the others what is the matter."""
    theirs = {matrix.name: matrix for matrix in after.matrices}
    reasons = dict(after.skipped)
    pairs, odd = {}, {}
    for matrix in chosen:
        other = theirs.get(matrix.name)
        if other is None:
            reason = reasons.get(matrix.name)
            odd[matrix.name] = Finding(False, "missing", "missing" if reason is None else f"cannot be read: {reason}")
        elif (stored_shape(matrix), matrix.k) == (stored_shape(other), other.k):
            pairs[matrix.name] = (matrix, other)
        else:
            odd[matrix.name] = _other_shape(matrix, other)
    return pairs, odd


def _other_shape(matrix: WeightMatrix, other: WeightMatrix) -> Finding:
    shapes = [" x ".join(map(str, (*stored_shape(m), *([m.k] if m.k > 1 else [])))) for m in (matrix, other)]
    if stored_shape(matrix) == stored_shape(other)[::-1] and matrix.k == other.k:
        return Finding(False, "transposed", f"inputs and outputs are exchanged: {shapes[0]} became {shapes[1]}")
    return Finding(False, "shape", f"{shapes[1]}, in the reference {shapes[0]}")


def _nothing_in_common(ours: Iterable[WeightMatrix], theirs: Iterable[WeightMatrix]) -> str:
    names = [", ".join([matrix.name for matrix in matrices][:3]) or "none" for matrices in (ours, theirs)]
    return (
        "The reference and the candidate have no layer of the same name and shape: "
        f"the layers are {names[0]}, ... and {names[1]}, ..."
    )


def _versions(
    before: Weights, after: Weights, pairs: Mapping[str, tuple[WeightMatrix, WeightMatrix]], executor: Executor | None
) -> Versions:
    whole = {name: pair for name, pair in pairs.items() if pair[0].rank is None and pair[1].rank is None}
    tasks = sorted(whole.values(), key=lambda pair: -_cost(pair[0]))
    results = run(
        _measure,
        tasks,
        costs=[_cost(pair[0]) for pair in tasks],
        largest=max((48 * pair[0].k * pair[0].N * pair[0].M for pair in tasks), default=0),
        executor=executor,
        describe=lambda pair: f"the layer {pair[0].name}",
    )
    changes = {pair[0].name: change for pair, change in zip(tasks, results, strict=True)}
    places = {matrix.name: place for place, matrix in enumerate(before.matrices)}
    return Versions(
        pairs=whole,
        changes={name: changes[name] for name in whole},
        before=read_vectors(before),
        after=read_vectors(after),
        places=places | {vector.name: place for place, vector in before.vectors if vector.name not in places},
    )


def _measure(pair: tuple[WeightMatrix, WeightMatrix]) -> Change:
    before, after = pair
    return measure_change(as_stored(before), as_stored(after), stored_shape(before)[1])


def _cost(matrix: WeightMatrix) -> float:
    """Two decompositions of the smaller Gram matrix, and the passes over the elements."""
    rows, columns = stored_shape(matrix)[0], stored_shape(matrix)[1] * matrix.k
    smaller = min(rows, columns)
    return 2.0 * (max(rows, columns) + 4 / 3 * smaller) * smaller**2 + 60.0 * rows * columns


def _table(
    chosen: list[WeightMatrix],
    versions: Versions,
    findings: Mapping[str, Finding],
    analyses: tuple[Analysis, Analysis],
    prefix: tuple[str, str],
) -> pd.DataFrame:
    details = [analysis.details.set_index("name") for analysis in analyses]
    details[1].index = [prefix[0] + str(name).removeprefix(prefix[1]) for name in details[1].index]
    rows = []
    for matrix in chosen:
        change, finding = versions.changes.get(matrix.name), findings.get(matrix.name)
        rows.append(
            {"name": matrix.name, "layer_type": matrix.layer_type, "N": matrix.N, "M": matrix.M}
            | {"status": _status(change, finding), "fault": finding.fault if finding else ""}
            | {"note": finding.message if finding else ""}
            | {column: getattr(change, column) if change else math.nan for column in MEASURED}
            | {f"{column}{suffix}": float(frame[column].get(matrix.name, math.nan))
               for column in SPECTRAL for suffix, frame in zip(("_before", ""), details, strict=True)}
        )  # fmt: skip
    rows += [
        {"name": name, "layer_type": "vector", "status": ALERT, "fault": finding.fault, "note": finding.message}
        for name, finding in findings.items()
        if name not in {matrix.name for matrix in chosen}
    ]
    return pd.DataFrame(rows).set_index("name")


def _status(change: Change | None, finding: Finding | None) -> str:
    if finding is not None:
        return EQUIVALENT if finding.harmless else ALERT
    return UNCHANGED if change is not None and change.distance == 0 else CHANGED
