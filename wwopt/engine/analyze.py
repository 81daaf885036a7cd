"""`analyze`: weights in, numbers out."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm.auto import tqdm

from wwopt.alignment import PAIR_COLUMNS, align, connect
from wwopt.analysis import Analysis
from wwopt.engine.cache import Cache
from wwopt.engine.fixed_scales import NOT_FIXED, fix
from wwopt.engine.measure import measure
from wwopt.engine.parallel import cores, find_device, run, threads
from wwopt.engine.settings import Settings
from wwopt.response import probe
from wwopt.sources import Kind, resolve, weights_of
from wwopt.weights import find_faults, subtract

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Sequence
    from concurrent.futures import Executor

    from wwopt.engine.measured import Measured
    from wwopt.powerlaw import EstimatorName
    from wwopt.response import Response
    from wwopt.sources import Source
    from wwopt.spectra import Precision
    from wwopt.weights import Fault, NamedTensor, WeightMatrix, Weights

__all__ = ["analyze"]

BATCH = 1 << 20  # elements of equal matrices that are measured together


def analyze(
    source: object,
    *,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    min_evals: int = 50,
    max_evals: int | None = None,
    estimator: EstimatorName = "mle",
    randomize: bool = True,
    invariant: bool = True,
    zero_tol: float | None = None,
    base: object | None = None,
    alignment: bool = False,
    response: bool | Sequence[int] | None = None,
    confidence: float | None = None,
    precision: Precision = "double",
    device: str = "auto",
    executor: Executor | None = None,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Analysis:
    """Compute the spectrum of every layer of a network, its power law and what follows from them.

    Parameters
    ----------
    source : torch.nn.Module, mapping of str to array, or path
        A model; a state dict, also inside ``{"state_dict": ...}``; a file or a folder of safetensors, PyTorch, NumPy,
        Hugging Face, PEFT or MLflow; ``hf://org/name[@revision]``, ``models:/...``, ``runs:/...``. It is read, never
        changed, and nothing that a file carries is run.
    include, exclude : str or iterable of str, optional
        Glob patterns on layer names; what they leave out is listed in ``skipped``, and not looked at for ``faults``.
    min_evals, max_evals : int, optional
        Fewest and most eigenvalues of a layer; the rest is listed in ``skipped``.
    estimator : {"mle", "hill", "peak", "tpl"}
        How alpha is estimated: by maximum likelihood with the xmin of least Kolmogorov-Smirnov distance, as
        WeightWatcher does; over the upper half of the spectrum; with xmin near the peak of its histogram; as the
        first, with an exponential cut-off. Their numbers are not interchangeable; see docs/metrics.md.
    randomize : bool
        Also compare the layers with random matrices: correlation traps and ``rand_distance``.
    invariant : bool
        Also compute the numbers that do not change when hidden units are rescaled, columns ``invariant_alpha`` to
        ``weak_overlap``, which the scores read; layers are matched as for ``alignment``. False takes half the time, and
        scores then read the weights as they are. Not computed for differences to a ``base``.
    zero_tol : float, optional
        Eigenvalues up to this one count as zero. None: ``N eps`` times the layer's largest, so that nothing
        changes when the weights are rescaled.
    alignment : bool
        Also compare what neighbouring layers write and read, in ``pairs``. Layers are matched by the module's
        graph where it can be traced, else by order and shape.
    response : bool or sequence of int, optional
        Also measure a module's outputs for noise, in ``response``; a replica is run for that, in evaluation mode
        without its hooks. A shape is that of one input, without the batch, where the found one is not to be
        used. None: with ``alignment``, where the source is a module. Warns where it was asked for and cannot be had.
    base : as source, optional
        Analyse the difference ``W - W_base`` to this model, layers by the same name.
    confidence : float, optional
        Also give an interval for each alpha, such as .95, by fitting spectra that are drawn anew: columns ``alpha_low``
        and ``alpha_high``. Takes as long as some 200 fits.
    precision : {"double", "single"}
        Arithmetic of the spectra. "single" takes half the time and changes alpha by about 1e-4 of its value.
    device : str
        Where eigenvalues are computed: "cpu", a device of torch such as "cuda:1", or "auto", which is CUDA where
        torch is loaded and has it.
    executor : concurrent.futures.Executor, optional
        Workers that share the layers: processes here, or a cluster's. They read files by themselves.
    cache : path, optional
        A folder that keeps results by the content of the weights, for any number of processes.
    seed : int
        Of what is drawn for the intervals.
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
    RuntimeError
        A worker of the executor died; the error names its layers.

    Examples
    --------
    >>> import torch, wwopt
    >>> analysis = wwopt.analyze(torch.nn.Linear(100, 200))
    >>> analysis.details[["N", "M", "num_evals"]].values.tolist()
    [[200, 100, 100]]
    """
    settings = Settings(
        include=include,
        exclude=exclude,
        min_evals=min_evals,
        max_evals=max_evals,
        estimator=estimator,
        randomize=randomize,
        invariant=invariant,
        zero_tol=zero_tol,
        base=None if base is None else _label(resolve(base)),
        precision=precision,
        alignment=alignment,
        response=response,
        confidence=confidence,
        seed=seed,
    )
    network = resolve(source)
    weights = whole = weights_of(network)
    if base is not None:
        weights = subtract(whole, weights_of(base))
    reasons = [(matrix, settings.reason_to_skip(matrix)) for matrix in weights.matrices]
    selected = [matrix for matrix, reason in reasons if reason is None]
    left_out = [(matrix.name, reason) for matrix, reason in reasons if reason is not None]
    work = partial(
        measure, settings=settings, device=find_device(device), cache=None if cache is None else Cache(Path(cache))
    )
    layers = connect(network.value, weights) if alignment or (invariant and base is None) else None
    fixed = fix(layers, selected, randomize=randomize) if layers and invariant and base is None else NOT_FIXED
    measured = _measure_all([*selected, *fixed.matrices], work, executor, progress)
    return Analysis.from_rows(
        [measured[matrix.name].row(matrix) | fixed.columns(matrix.name, measured) for matrix in selected],
        spectra={matrix.name: measured[matrix.name].evals for matrix in selected},
        skipped=[*weights.skipped, *left_out],
        settings=settings.to_dict(),
        pairs=pd.DataFrame(align(layers), columns=list(PAIR_COLUMNS)) if layers and alignment else None,
        response=_response(network, settings),
        faults=_faults(whole, {matrix.name for matrix in selected}, settings),
    )


def _faults(weights: Weights, analysed: Collection[str], settings: Settings) -> list[Fault]:
    """What is wrong with the tensors that were asked for and are not analysed as layers."""
    small = [matrix for matrix in weights.matrices if matrix.name not in analysed]
    others: list[NamedTensor | WeightMatrix] = [*small, *(vector for _, vector in weights.vectors), *weights.rest]
    return find_faults(tensor for tensor in others if settings.covers(tensor.name))


def _response(source: Source, settings: Settings) -> Response | None:
    wanted = settings.response
    if wanted is False or (wanted is None and not (settings.alignment and source.kind is Kind.MODULE)):
        return None
    answer = probe(source.value, None if isinstance(wanted, (bool, type(None))) else wanted, seed=settings.seed)
    if wanted is not None and not answer.available:
        warnings.warn(f"No response was measured: {answer.reason}.", stacklevel=3)
    return answer


def _label(source: Source) -> str:
    return source.label if isinstance(source.value, (str, Path)) else f"a {source.label}"


def _measure_all(
    matrices: Sequence[WeightMatrix],
    work: Callable[[Sequence[WeightMatrix]], list[Measured]],
    executor: Executor | None,
    progress: bool | None,
) -> dict[str, Measured]:
    largest = max((8 * matrix.M**2 for matrix in matrices), default=0)
    workers = threads(sum(matrix.operations for matrix in matrices), largest) if executor is None else cores()
    batches = _batches(matrices, workers)
    results = run(
        work,
        batches,
        costs=[sum(matrix.operations for matrix in batch) for batch in batches],
        largest=largest,
        executor=executor,
        describe=_names,
    )
    measured: dict[str, Measured] = {}
    hidden, delay = None if progress is None else not progress, 0 if progress else 1
    with tqdm(total=len(matrices), desc="layers", unit="layer", delay=delay, disable=hidden, leave=False) as bar:
        for batch, layers in zip(batches, results, strict=True):
            measured |= {matrix.name: layer for matrix, layer in zip(batch, layers, strict=True)}
            bar.update(len(batch))
    return measured


def _batches(matrices: Sequence[WeightMatrix], workers: int) -> list[list[WeightMatrix]]:
    """Group small matrices of equal shape; the costly ones come first, so that no core waits at the end."""
    by_cost = sorted(matrices, key=lambda matrix: (-matrix.operations, matrix.N, matrix.M, matrix.k))
    most = BATCH if workers == 1 else min(BATCH, sum(map(_elements, matrices)) // (2 * workers))
    batches: list[list[WeightMatrix]] = []
    size = 0
    for matrix in by_cost:
        if not batches or _shape(matrix) != _shape(batches[-1][0]) or size + _elements(matrix) > most:
            batches.append([])
            size = 0
        batches[-1].append(matrix)
        size += _elements(matrix)
    return batches


def _elements(matrix: WeightMatrix) -> int:
    return matrix.k * matrix.N * matrix.M


def _shape(matrix: WeightMatrix) -> tuple[int, int, int, int]:
    return matrix.k, matrix.N, matrix.M, matrix.num_evals


def _names(batch: Sequence[WeightMatrix]) -> str:
    return "the layers " + ", ".join(matrix.name for matrix in batch)
