"""`diagnose`: all findings about a network, the most severe first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wwopt.diagnosis.catalogue import CATALOGUE, FAULT_KEYS, LayerColumns, Rule
from wwopt.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from wwopt.arrays import Floats
    from wwopt.powerlaw import EstimatorName

__all__ = ["diagnose"]

ORDER = ("broken", "warning", "note")


def diagnose(
    numbers: Mapping[str, Floats],
    words: Mapping[str, NDArray[Any]],
    *,
    estimator: EstimatorName = "mle",
    difference: bool = False,
    faults: Iterable[tuple[str, str]] = (),
) -> tuple[Finding, ...]:
    """Diagnose a network from the columns of its table.

    Parameters
    ----------
    numbers, words : mapping of str to array
        Columns of ``Analysis.details``: those of numbers, and those of text with ``name`` and ``status``.
    estimator : {"mle", "hill", "peak", "tpl"}
        Estimator of the alphas, whose range holds.
    difference : bool
        Whether the numbers are those of differences to a base: a difference may be zero, or of rank one.
    faults : iterable of (str, str)
        Names of broken tensors that are not analysed, each with its kind: ``non-finite``, ``zero`` or ``impossible``.

    Returns
    -------
    tuple of Finding
        The most severe first, then in the order of the catalogue and of the layers.

    Examples
    --------
    >>> numbers = {"alpha": np.array([3.0, 9.0]), "sigma": np.array([0.2, 0.4]), "stable_rank": np.array([1.1, 20.0])}
    >>> words = {"name": np.array(["a", "b"]), "status": np.array(["success", "success"])}
    >>> [str(finding) for finding in diagnose(numbers, words)]
    ['a has a stable rank of 1.10, below 1.5', 'b is under-trained by its alpha of 9.00']
    """
    layers = LayerColumns(numbers, words, estimator, difference)
    found = [finding for rule in CATALOGUE.values() for finding in _in_layers(rule, layers)]
    found += [_in_tensor(name, kind) for name, kind in faults]
    return tuple(sorted(found, key=lambda finding: ORDER.index(finding.severity)))


def _in_layers(rule: Rule, layers: LayerColumns) -> Iterator[Finding]:
    """Findings of one rule, in the order of the layers."""
    rows = [] if rule.holds is None else np.flatnonzero(rule.holds(layers)).tolist()
    for row in rows:
        values = {name: layers[name][row] for name in ("alpha", "stable_rank", "trap_energy")}
        sentence = rule.sentence.format(**values)
        yield Finding(rule.key, str(layers.words["name"][row]), rule.severity, sentence, rule.advice, row)


def _in_tensor(name: str, kind: str) -> Finding:
    rule = CATALOGUE[FAULT_KEYS[kind]]
    return Finding(rule.key, name, rule.severity, rule.sentence, rule.advice)
