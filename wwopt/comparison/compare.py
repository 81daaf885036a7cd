"""`compare`: the changes of a network against a reference, layer by layer, and the broken layers."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from wwopt.comparison.before_after import Versions, read_vectors
from wwopt.comparison.changes import Change, measure_change
from wwopt.comparison.find_causes import find_causes, find_vector_causes
from wwopt.comparison.matching import match_layers
from wwopt.comparison.thresholds import Thresholds
from wwopt.engine.analyze import analyze
from wwopt.engine.parallel import run
from wwopt.engine.settings import Settings
from wwopt.sources import weights_of
from wwopt.weights import align_names, as_stored, stored_shape

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from wwopt.analysis import Analysis
    from wwopt.comparison.cause import Cause
    from wwopt.comparison.matching import Pair
    from wwopt.weights import Aligned, WeightMatrix, Weights

__all__ = ["Alert", "Comparison", "compare"]

SPECTRAL = ("alpha", "log_norm", "stable_rank", "num_traps", "rand_distance")
MEASURED = ("distance", "cosine", "scale", "shift", "spectrum", "rank_lost", "zeros")
UNCHANGED, CHANGED, EQUIVALENT, ALERT = "same", "changed", "equivalent", "alert"


class Alert(NamedTuple):
    """A broken layer: its name, the kind of fault, and a message on the probable cause."""

    name: str
    fault: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass(frozen=True)
class Comparison:
    """Changes of a network's layers against a reference.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer, index ``name``: ``status`` (``same``, ``changed``, ``equivalent`` where the network is the same
        function, ``alert``), ``fault`` and ``note``; ``distance`` ``|B - A| / |A|``, ``cosine``, ``scale``, ``shift``,
        ``spectrum``, ``rank_lost``, ``zeros``; and alpha, norm, rank, traps of both, ``..._before`` for the reference.
    alerts : tuple of Alert
        The broken layers, with the probable cause.
    warnings : tuple of str
        Layers that the reference lacks, and names that were matched without a prefix.
    thresholds : Thresholds
        The limits beyond which a change is an alert.
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
        A good network, and what compression, fine-tuning or conversion made of it.
    thresholds : Thresholds, optional
        Limits beyond which a change is an alert.
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
    ['fc: scaled by 10, and nothing compensates for it']
    """
    thresholds = thresholds or Thresholds()
    options: dict[str, Any] = {"include": include, "exclude": exclude, "min_evals": min_evals, "device": device,
                               "executor": executor, "cache": cache, "progress": progress}  # fmt: skip
    before, after = weights_of(reference), weights_of(candidate)
    aligned = align_names(before, after)
    after = aligned.weights
    chosen = _chosen(before, include, exclude)
    pairs, causes = match_layers(chosen, after)
    versions = _versions(before, after, pairs, executor)
    causes |= find_causes(versions, thresholds)
    if include is None and exclude is None:
        causes |= dict(find_vector_causes(versions, thresholds))
    table = _table(
        chosen, versions, causes, (analyze(reference, **options), analyze(candidate, **options)), aligned.names
    )
    alerts = tuple(Alert(name, cause.fault, cause.message) for name, cause in causes.items() if not cause.harmless)
    return Comparison(table, alerts, _warnings(before, aligned), thresholds)


def _warnings(before: Weights, aligned: Aligned) -> tuple[str, ...]:
    names = {matrix.name for matrix in before.matrices}
    extra = [matrix.name for matrix in aligned.weights.matrices if matrix.name not in names]
    warnings = [f"not in the reference: {', '.join(extra)}"] if extra else []
    if aligned.prefixes is not None:
        whose, prefix = (
            ("reference", aligned.prefixes[0]) if aligned.prefixes[0] else ("candidate", aligned.prefixes[1])
        )
        warnings.append(f"layers were matched without the prefix {prefix!r} of the {whose}'s names")
    elif aligned.names:
        own, name = next(iter(aligned.names.items()))
        warnings.append(f"{len(aligned.names)} layers have other names in the candidate: {name} is {own}, for instance")
    return tuple(warnings)


def _chosen(weights: Weights, include: Any, exclude: Any) -> list[WeightMatrix]:
    settings = Settings(include=include, exclude=exclude)
    return [matrix for matrix in weights.matrices if settings.selects(matrix.name)]


def _versions(before: Weights, after: Weights, pairs: Mapping[str, Pair], executor: Executor | None) -> Versions:
    whole = {name: pair for name, pair in pairs.items() if (pair[0].rank is None) == (pair[1].rank is None)}
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
    positions = {matrix.name: position for position, matrix in enumerate(before.matrices)}
    return Versions(
        pairs=whole,
        changes={name: changes[name] for name in whole},
        before=read_vectors(before),
        after=read_vectors(after),
        positions={vector.name: position for position, vector in before.vectors} | positions,
    )


def _measure(pair: Pair) -> Change:
    before, after = pair
    return measure_change(as_stored(before), as_stored(after), stored_shape(before)[1], after.coding)


def _cost(matrix: WeightMatrix) -> float:
    """Operations of two decompositions of the smaller Gram matrix, and of the passes over the elements."""
    rows, columns = stored_shape(matrix)[0], stored_shape(matrix)[1] * matrix.k
    smaller = min(rows, columns)
    return 2.0 * (max(rows, columns) + 4 / 3 * smaller) * smaller**2 + 60.0 * rows * columns


def _table(
    chosen: list[WeightMatrix],
    versions: Versions,
    causes: Mapping[str, Cause],
    analyses: tuple[Analysis, Analysis],
    names: Mapping[str, str],
) -> pd.DataFrame:
    details = [analysis.details.set_index("name") for analysis in analyses]
    details[1].index = [names.get(str(name), str(name)) for name in details[1].index]
    rows = []
    for matrix in chosen:
        change, cause = versions.changes.get(matrix.name), causes.get(matrix.name)
        rows.append(
            {"name": matrix.name, "layer_type": matrix.layer_type, "N": matrix.N, "M": matrix.M}
            | {"status": _status(change, cause), "fault": cause.fault if cause else ""}
            | {"note": cause.message if cause else _loss(change)}
            | {column: getattr(change, column) if change else math.nan for column in MEASURED}
            | {f"{column}{suffix}": float(frame[column].get(matrix.name, math.nan))
               for column in SPECTRAL for suffix, frame in zip(("_before", ""), details, strict=True)}
        )  # fmt: skip
    rows += [
        {"name": name, "layer_type": "vector", "status": ALERT, "fault": cause.fault, "note": cause.message}
        for name, cause in causes.items()
        if name not in {matrix.name for matrix in chosen}
    ]
    return pd.DataFrame(rows).set_index("name")


def _loss(change: Change | None) -> str:
    """Say what a quantised layer has lost."""
    if change is None or change.coding is None:
        return ""
    folded = ", beside factors of its rows and columns" if change.blocks and change.blocks.folded else ""
    return f"{change.coding.form}: lost {change.loss:.1%}{folded}"


def _status(change: Change | None, cause: Cause | None) -> str:
    if cause is not None:
        return EQUIVALENT if cause.harmless else ALERT
    return UNCHANGED if change is not None and change.distance == 0 else CHANGED
