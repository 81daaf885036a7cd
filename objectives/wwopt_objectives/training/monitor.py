"""`AlphaMonitor`: per-layer training diagnostics, without Optuna and without data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from wwopt.diagnosis import distance_from_range
from wwopt.engine.analyze import analyze
from wwopt.engine.check_options import check_options
from wwopt.score import AlphaScore
from wwopt_objectives.training.distributed import from_rank_zero
from wwopt_objectives.training.freezing import Freezer
from wwopt_objectives.training.reports import ADVICE, LayerReport, MonitorReport

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.diagnosis import Finding
    from wwopt.score import Score
    from wwopt_objectives.training.reports import TrainingStage

__all__ = ["AlphaMonitor"]

BY_ALPHA = ("under-trained", "over-trained")  # findings that say nothing of a layer still close to noise
NOISE_DISTANCE = 0.1  # nearer to noise than this, alpha says nothing yet
CONVERGED_CHANGE = 0.1  # most that alpha of a converged layer moves, relative to its smallest value
CONVERGED_REPORTS = 3  # over which it moves no more than that


class AlphaMonitor:
    """Diagnose a network's layers while it trains.

    Parameters
    ----------
    model : torch.nn.Module
        It is read; changed only where freezing is asked for.
    freeze : bool
        Freeze each layer once it has converged ("early freezing"): its parameters get no gradient any more.
        `unfreeze` undoes it.
    score : Score, optional
        Score of each report; None for `AlphaScore`.
    **analyze_options
        Further arguments of `wwopt.analyze`, such as ``min_evals``.

    Notes
    -----
    Where several processes train the model (torch.distributed), each must call `step`: rank 0 evaluates, and all get
    its report, so that all decide alike.

    Examples
    --------
    >>> import torch
    >>> monitor = AlphaMonitor(torch.nn.Linear(100, 100))
    >>> [layer.verdict for layer in monitor.step(0).layers]
    ['noise']
    """

    def __init__(
        self, model: torch.nn.Module, *, freeze: bool = False, score: Score | None = None, **analyze_options: Any
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
        check_options(analyze_options, of="AlphaMonitor", own=("freeze", "score"))
        self.model = model
        self._freeze_converged = freeze
        self._score: Score = AlphaScore() if score is None else score
        self._analyze_options = {**self._score.requires, **analyze_options}
        self._alphas: dict[str, list[float]] = {}
        self._freezer = Freezer(model)
        self.history: list[MonitorReport] = []

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the layers that are frozen."""
        return self._freezer.names

    def step(self, step: int) -> MonitorReport:
        """Diagnose the network after a step, an epoch for example, and keep the report in ``history``."""
        report = from_rank_zero(lambda: self.report(step))
        self.add(report)
        return report

    def report(self, step: int, analysis: Analysis | None = None) -> MonitorReport:
        """Diagnose the network as it is, or from an analysis of it that was made already; on this process alone."""
        if analysis is None:
            analysis = analyze(self.model, **{"progress": False, **self._analyze_options})
        for name, alpha in zip(analysis.words["name"], analysis.numbers["alpha"].tolist(), strict=True):
            self._alphas.setdefault(name, []).append(alpha)
        layers = tuple(self._layer_report(analysis, row) for row in range(len(analysis.words["name"])))
        return MonitorReport(step, self._score(analysis), layers, analysis)

    def add(self, report: MonitorReport) -> None:
        """Keep a report in ``history``, and freeze what has converged where that was asked for."""
        self.history.append(report)
        if self._freeze_converged:
            self.freeze(self._wholly_converged(report))

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze layers, with their biases.

        Raises
        ------
        ValueError
            The model has no such layer.
        RuntimeError
            Several processes train the model.
        """
        self._freezer.freeze(names)

    def unfreeze(self, names: Iterable[str] | None = None) -> None:
        """Unfreeze layers; all that are frozen where no names are given."""
        self._freezer.unfreeze(names)

    def _wholly_converged(self, report: MonitorReport) -> list[str]:
        """Layers that have converged; the parts of a fused tensor only together, since they are frozen together."""
        modules = {layer.name: self._freezer.module_of(layer.name) for layer in report.layers}
        moving = {modules[layer.name] for layer in report.layers if layer.verdict != "converged"}
        return [name for name in report.named("converged") if modules[name] not in moving]

    def _layer_report(self, analysis: Analysis, row: int) -> LayerReport:
        name, findings = str(analysis.words["name"][row]), analysis.findings_of(row)
        alphas = self._alphas[name]
        change = alphas[-1] - alphas[-2] if len(alphas) > 1 else math.nan
        verdict, advice = self._verdict(analysis, row, findings)
        return LayerReport(name, alphas[-1], change, verdict, name in self.frozen, advice, findings)

    def _verdict(self, analysis: Analysis, row: int, findings: tuple[Finding, ...]) -> tuple[str, str]:
        """Return what a layer is called, its first finding or how far it has got, and the advice on that."""
        if findings and findings[0].key not in BY_ALPHA:
            return findings[0].key, findings[0].advice
        if analysis.numbers["rand_distance"][row] < NOISE_DISTANCE:
            return "too early", ADVICE["too early"]
        if findings:
            return findings[0].key, findings[0].advice
        stage: TrainingStage = "converged" if self._has_converged(analysis, row) else "training"
        return stage, ADVICE[stage]

    def _has_converged(self, analysis: Analysis, row: int) -> bool:
        """Whether alpha lies within its range, whatever its standard error, and is steady."""
        alphas = self._alphas[str(analysis.words["name"][row])][-CONVERGED_REPORTS:]
        steady = len(alphas) == CONVERGED_REPORTS and max(alphas) - min(alphas) <= CONVERGED_CHANGE * min(alphas)
        return steady and distance_from_range(alphas[-1], analysis.estimator) == 0
