"""`inspect`: what `analyze` would do with a network, told before its weights are read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wwopt.engine.measure import measure
from wwopt.engine.parallel import threads
from wwopt.engine.settings import Settings
from wwopt.sources import weights_of
from wwopt.weights import WeightMatrix, subtract

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wwopt.weights import Weights

__all__ = ["Inspection", "inspect"]

COLUMNS = ["name", "layer_type", "dtype", "shape", "N", "M", "rf", "num_evals", "parameters", "reason"]
PROBE = 384  # side of the matrix by which the speed of this machine is measured
READ = 5e8  # bytes that are read in a second
ELEMENT, EIGENVALUE = 4, 24  # bytes of an element when it is read, and of an element of the Gram matrix at work


@dataclass(frozen=True)
class Inspection:
    """What a network is made of, and what an analysis of it would take.

    Attributes
    ----------
    layers : pandas.DataFrame
        A row per weight matrix: ``name``, ``layer_type``, ``dtype`` (of a quantised one how it is stored), ``shape``
        as stored, ``N``, ``M``, ``rf`` (number of matrices), ``num_evals``, ``parameters``, and ``reason``, why
        `wwopt.analyze` would leave it out; empty where it would not.
    skipped : pandas.DataFrame
        ``name`` and ``reason`` of the tensors that are no weight matrices, or cannot be read.
    parameters : int
        Elements of all weight matrices, biases and gains.
    seconds : float
        Estimate for `wwopt.analyze` on this machine, within a factor of about two.
    memory : int
        Estimate of the bytes that it takes beside the network, at its peak.
    """

    layers: pd.DataFrame
    skipped: pd.DataFrame
    parameters: int
    seconds: float
    memory: int

    @property
    def analysed(self) -> pd.DataFrame:
        """The layers that would be analysed."""
        return self.layers[self.layers["reason"] == ""]


def inspect(
    source: object,
    *,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    min_evals: int = 50,
    max_evals: int | None = None,
    base: object | None = None,
) -> Inspection:
    """Describe a network without reading its weights: only headers, and small tables whose values tell what they are.

    Parameters
    ----------
    source, include, exclude, min_evals, max_evals, base
        As in `wwopt.analyze`.

    Returns
    -------
    Inspection
        Layers, what would be left out and why, and the time and memory to expect.

    Raises
    ------
    TypeError, FileNotFoundError, ValueError
        As `wwopt.analyze`.

    Examples
    --------
    >>> import torch, wwopt
    >>> found = wwopt.inspect(torch.nn.Sequential(torch.nn.Linear(100, 200), torch.nn.Linear(200, 3)))
    >>> found.layers[["name", "shape", "parameters", "reason"]].values.tolist()
    [['0', (200, 100), 20000, ''], ['1', (3, 200), 600, '3 eigenvalues, fewer than min_evals=50']]
    >>> found.parameters
    20803
    """
    settings = Settings(include=include, exclude=exclude, min_evals=min_evals, max_evals=max_evals)
    whole = weights_of(source)
    weights = whole if base is None else subtract(whole, weights_of(base))
    layers = pd.DataFrame([_row(matrix, settings) for matrix in weights.matrices], columns=COLUMNS)
    chosen = [matrix for matrix in weights.matrices if settings.reason_to_skip(matrix) is None]
    return Inspection(
        layers=layers,
        skipped=pd.DataFrame(list(weights.skipped), columns=["name", "reason"]),
        parameters=_parameters(whole),
        seconds=_seconds(chosen),
        memory=_memory(chosen),
    )


def _row(matrix: WeightMatrix, settings: Settings) -> dict[str, Any]:
    return {
        "name": matrix.name,
        "layer_type": matrix.layer_type,
        "dtype": matrix.dtype,
        "shape": matrix.shape or (matrix.k, matrix.N, matrix.M),
        "N": matrix.N,
        "M": matrix.M,
        "rf": matrix.k,
        "num_evals": matrix.num_evals,
        "parameters": matrix.parameters,
        "reason": settings.reason_to_skip(matrix) or "",
    }


def _parameters(weights: Weights) -> int:
    vectors = sum(vector.shape[0] for _, vector in weights.vectors)
    return vectors + sum(matrix.parameters for matrix in weights.matrices)


def _seconds(matrices: Sequence[WeightMatrix]) -> float:
    """Time of the layers, by that of one random matrix here."""
    if not matrices:
        return 0.0
    probe = np.random.default_rng(0).normal(size=(1, PROBE, PROBE))
    one = WeightMatrix("probe", "dense", 1, PROBE, PROBE, probe.copy)
    measure([one], Settings())  # loads what is needed
    start = time.perf_counter()
    measure([one], Settings())
    per_operation = (time.perf_counter() - start) / one.operations
    operations = sum(matrix.operations for matrix in matrices)
    reading = sum(ELEMENT * matrix.parameters for matrix in matrices) / READ
    return per_operation * operations / threads(operations, max(map(_bytes, matrices))) + reading


def _memory(matrices: Sequence[WeightMatrix]) -> int:
    """Bytes of the largest layers, as many as are analysed at once."""
    if not matrices:
        return 0
    sizes = sorted(map(_bytes, matrices), reverse=True)
    return sum(sizes[: threads(sum(matrix.operations for matrix in matrices), sizes[0])])


def _bytes(matrix: WeightMatrix) -> int:
    rank = matrix.M if matrix.rank is None else matrix.rank
    return ELEMENT * matrix.parameters + EIGENVALUE * rank**2
