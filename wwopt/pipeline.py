"""`analyze`: weights in, numbers out."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from tqdm.auto import tqdm

from wwopt.analysis import Analysis, to_details, to_skipped
from wwopt.metrics import METRICS, Layer
from wwopt.null import Traps, correlation_traps
from wwopt.powerlaw import fit_powerlaws
from wwopt.spectra import eigenvalues, zero_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wwopt.weights import WeightMatrix

__all__ = ["analyze"]

Floats = NDArray[np.float64]

BATCH = 1 << 20  # elements of equal matrices that are decomposed in one call
OVER_TRAINED, UNDER_TRAINED = 2.0, 6.0


def analyze(
    source: object,
    *,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    min_evals: int = 50,
    max_evals: int | None = None,
    randomize: bool = True,
    zero_tol: float | None = None,
    alignment: bool = False,
    progress: bool | None = None,
) -> Analysis:
    """Compute the spectrum of every layer of a network, its power law and what follows from them.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to array, or path
        A model; a state dict, also inside ``{"state_dict": ...}``; a ``.safetensors``, ``.pt``, ``.pth`` or
        ``.th`` file. It is read, never changed.
    include, exclude : str or iterable of str, optional
        Glob patterns on layer names; what they leave out is listed in ``skipped``.
    min_evals, max_evals : int, optional
        Fewest and most eigenvalues of a layer; the rest is listed in ``skipped``.
    randomize : bool
        Also compare the layers with random matrices: correlation traps and ``rand_distance``.
    zero_tol : float, optional
        Eigenvalues up to this one count as zero. None: ``N eps`` times the layer's largest, so that nothing
        changes when the weights are rescaled.
    alignment : bool
        Also compare what neighbouring layers write and read, in ``pairs``. Layers are matched by the module's
        graph where it can be traced, else by order and shape.
    progress : bool, optional
        Show a progress bar. None: on a terminal, when the work takes over a second.

    Returns
    -------
    Analysis
        The same for the same input, on any number of cores.

    Raises
    ------
    TypeError
        The source is of a type that cannot hold weights.
    FileNotFoundError, ValueError
        The file does not exist; it cannot be read, or the source holds no weight matrix.

    Examples
    --------
    >>> import torch, wwopt
    >>> analysis = wwopt.analyze(torch.nn.Linear(100, 200))
    >>> analysis.details[["N", "M", "num_evals"]].values.tolist()
    [[200, 100, 100]]
    """
    from wwopt.weights import open_weights  # noqa: PLC0415  (loads torch)

    settings = _settings(
        include, exclude, min_evals, max_evals, randomize=randomize, zero_tol=zero_tol, alignment=alignment
    )
    weights = open_weights(source)
    selected, left_out = _select(weights.matrices, settings)
    batches = list(_batches(selected))
    measured: dict[str, _Measured] = {}
    with _one_thread_each(len(batches)) as pool:
        bar = tqdm(total=len(selected), desc="layers", unit="layer", delay=1, disable=_hidden(progress), leave=False)
        with bar:
            for results in pool.map(lambda batch: _measure(batch, settings), batches):
                measured.update({result.row["name"]: result for result in results})
                bar.update(len(results))
    ordered = [measured[matrix.name] for matrix in selected]
    return Analysis(
        details=to_details([{"layer_id": index, **layer.row} for index, layer in enumerate(ordered)]),
        spectra={layer.row["name"]: layer.evals for layer in ordered},
        skipped=to_skipped([*weights.skipped, *left_out]),
        settings=settings,
        pairs=_pairs(source, weights.matrices) if alignment else None,
    )


def _pairs(source: object, matrices: Sequence[WeightMatrix]) -> pd.DataFrame:
    from wwopt.alignment import PAIR_COLUMNS, align, find_spaces  # noqa: PLC0415  (loads torch)

    return pd.DataFrame(align(matrices, find_spaces(source, matrices)), columns=list(PAIR_COLUMNS))


def _settings(
    include: str | Iterable[str] | None,
    exclude: str | Iterable[str] | None,
    min_evals: int,
    max_evals: int | None,
    **others: object,
) -> dict[str, Any]:
    if min_evals < 2:
        raise ValueError(f"`min_evals` must be at least 2, got {min_evals}.")
    if max_evals is not None and max_evals < min_evals:
        raise ValueError(f"`max_evals` must be at least `min_evals` ({min_evals}), got {max_evals}.")
    zero_tol = others["zero_tol"]
    if zero_tol is not None and not (isinstance(zero_tol, (int, float)) and zero_tol >= 0):
        raise ValueError(f"`zero_tol` must be 0 or more, got {zero_tol}.")
    return {
        "include": _patterns(include),
        "exclude": _patterns(exclude),
        "min_evals": min_evals,
        "max_evals": max_evals,
        **others,
    }


def _patterns(patterns: str | Iterable[str] | None) -> list[str] | None:
    if patterns is None:
        return None
    return [patterns] if isinstance(patterns, str) else [str(pattern) for pattern in patterns]


def _select(
    matrices: Sequence[WeightMatrix], settings: dict[str, Any]
) -> tuple[list[WeightMatrix], list[tuple[str, str]]]:
    reasons = [(matrix, _reason_to_skip(matrix, settings)) for matrix in matrices]
    selected = [matrix for matrix, reason in reasons if reason is None]
    return selected, [(matrix.name, reason) for matrix, reason in reasons if reason is not None]


def _reason_to_skip(matrix: WeightMatrix, settings: dict[str, Any]) -> str | None:
    include, exclude, most = settings["include"], settings["exclude"], settings["max_evals"]
    if include is not None and not _matches(matrix.name, include):
        return "not in `include`"
    if exclude is not None and _matches(matrix.name, exclude):
        return "in `exclude`"
    if matrix.num_evals < settings["min_evals"]:
        return f"{matrix.num_evals} eigenvalues, fewer than min_evals={settings['min_evals']}"
    if most is not None and matrix.num_evals > most:
        return f"{matrix.num_evals} eigenvalues, more than max_evals={most}"
    return None


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _batches(matrices: Sequence[WeightMatrix]) -> Iterator[list[WeightMatrix]]:
    """Group small matrices of equal shape; the costly ones come first, so that no core waits at the end."""
    by_cost = sorted(matrices, key=lambda matrix: (-matrix.k * matrix.N * matrix.M**2, matrix.N, matrix.M))
    batch: list[WeightMatrix] = []
    size = 0
    for matrix in by_cost:
        elements = matrix.k * matrix.N * matrix.M
        if batch and ((matrix.N, matrix.M) != (batch[0].N, batch[0].M) or size + elements > BATCH):
            yield batch
            batch, size = [], 0
        batch.append(matrix)
        size += elements
    if batch:
        yield batch


@dataclass(frozen=True)
class _Measured:
    """A layer's row of the table and its spectrum."""

    row: dict[str, Any]
    evals: Floats


def _measure(batch: Sequence[WeightMatrix], settings: dict[str, Any]) -> list[_Measured]:
    """Measure matrices of equal shape."""
    stacks = [_read(matrix) for matrix in batch]
    parts = np.split(eigenvalues(np.concatenate(stacks) if len(stacks) > 1 else stacks[0]), _ends(batch))
    evals = [np.sort(part, axis=None) for part in parts]
    tolerances = [_zero_tol(values, matrix.N, settings) for matrix, values in zip(batch, evals, strict=True)]
    tails = [values[values > tol] for values, tol in zip(evals, tolerances, strict=True)]
    fits = fit_powerlaws(tails)
    traps = [_traps(stack, values, settings) for stack, values in zip(stacks, evals, strict=True)]
    return [
        _Measured(_row(matrix, Layer(values, matrix.k, matrix.N, matrix.M, tol, fit), trap, settings), values)
        for matrix, values, tol, fit, trap in zip(batch, evals, tolerances, fits, traps, strict=True)
    ]


def _read(matrix: WeightMatrix) -> Floats:
    """Stack of a layer in double precision, contiguous, shape (k, N, M)."""
    stack = np.ascontiguousarray(matrix.read(), dtype=np.float64)
    return stack if matrix.scale == 1 else stack * matrix.scale


def _ends(batch: Sequence[WeightMatrix]) -> list[int]:
    return [int(end) for end in np.cumsum([matrix.k for matrix in batch])[:-1]]


def _zero_tol(evals: Floats, N: int, settings: dict[str, Any]) -> float:
    given = settings["zero_tol"]
    return float(given) if given is not None else zero_limit(float(evals[-1]), N)


def _traps(stack: Floats, evals: Floats, settings: dict[str, Any]) -> Traps | None:
    return correlation_traps(stack) if settings["randomize"] and np.isfinite(evals).all() else None


def _row(matrix: WeightMatrix, layer: Layer, traps: Traps | None, settings: dict[str, Any]) -> dict[str, Any]:
    status = _status(layer)
    usable = status in ("success", "failed") or (status == "degenerate" and layer.evals[-1] > 0)
    metrics = {name: metric.compute(layer) for name, metric in METRICS.items()} if usable else {}
    if not settings["randomize"]:
        metrics.pop("rand_distance", None)
    return {
        "name": matrix.name,
        "layer_type": matrix.layer_type,
        "status": status,
        "warning": _warning(layer.alpha),
        "N": matrix.N,
        "M": matrix.M,
        "Q": matrix.N / matrix.M,
        "rf": matrix.k,
        "num_evals": matrix.num_evals,
        "num_traps": traps.num_traps if traps else math.nan,
        "trap_energy": traps.energy if traps else math.nan,
        **metrics,
    }


def _status(layer: Layer) -> str:
    if not np.isfinite(layer.evals).all():
        return "non-finite"
    if np.count_nonzero(layer.evals > layer.zero_tol) < 2:
        return "degenerate"
    return "success" if layer.fit else "failed"


def _warning(alpha: float) -> str:
    """WeightWatcher's words for an exponent outside of 2 to 6."""
    if alpha < OVER_TRAINED:
        return "over-trained"
    return "under-trained" if alpha > UNDER_TRAINED else ""


def _hidden(progress: bool | None) -> bool | None:
    return None if progress is None else not progress


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # looking the libraries up takes milliseconds


class _one_thread_each:  # noqa: N801  (a context manager)
    """A pool of as many threads as cores, with one BLAS thread for each: two layers at once beat one on two cores."""

    def __init__(self, tasks: int) -> None:
        self._workers = max(1, min(tasks, _cores()))
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="wwopt")
        self._limit = _blas().limit(limits=1 if self._workers > 1 else None, user_api="blas")

    def __enter__(self) -> ThreadPoolExecutor:
        self._limit.__enter__()
        return self._pool.__enter__()

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._limit.__exit__(*error)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
