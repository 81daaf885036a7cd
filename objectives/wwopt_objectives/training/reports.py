"""Reports of `AlphaMonitor`: the diagnosis of a network in training, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.diagnosis import Finding

__all__ = ["ADVICE", "LayerReport", "MonitorReport", "TrainingStage"]

COLUMNS = ["name", "alpha", "change", "verdict", "frozen", "advice"]  # of the table
TrainingStage = Literal["too early", "converged", "training"]

ADVICE: dict[TrainingStage, str] = {
    "too early": "still close to noise: train on, or raise the learning rate",
    "converged": "alpha within its range and steady: it may be frozen",
    "training": "alpha moving, or not clearly out of its range",
}


@dataclass(frozen=True)
class LayerReport:
    """Diagnosis of a layer in training.

    Attributes
    ----------
    name : str
        Name of the layer.
    alpha : float
        Exponent of its power law, NaN where none fits.
    change : float
        Change of alpha since the report before, NaN at the first.
    verdict : str
        Key of its most severe finding, such as ``collapsed`` or ``under-trained``; without one ``too early`` (still
        close to noise), ``converged`` or ``training``.
    frozen : bool
        Whether the monitor has frozen it.
    advice : str
        What is commonly done about it; advice, not a finding.
    findings : tuple of wwopt.diagnosis.Finding
        What is wrong with it, the most severe first; those of the analysis.
    """

    name: str
    alpha: float
    change: float
    verdict: str
    frozen: bool
    advice: str
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    @property
    def broken(self) -> bool:
        """Whether a finding says that it is broken."""
        return any(finding.severity == "broken" for finding in self.findings)


@dataclass(frozen=True)
class MonitorReport:
    """Diagnosis of a network in training.

    Attributes
    ----------
    step : int
        Step of the training.
    score : float
        Score of the network; lower is better.
    layers : tuple of LayerReport
        One for each layer, in the network's order.
    analysis : wwopt.Analysis
        All the numbers.
    """

    step: int
    score: float
    layers: tuple[LayerReport, ...]
    analysis: Analysis

    @property
    def broken(self) -> bool:
        """Whether training on is pointless: a layer has collapsed, diverged or is not finite, or another tensor is."""
        return bool(self.analysis.broken)

    @property
    def table(self) -> pd.DataFrame:
        """A row per layer: name, alpha, change of alpha since the report before, verdict, whether frozen, advice."""
        return pd.DataFrame([vars(layer) for layer in self.layers], columns=COLUMNS)

    def named(self, verdict: str) -> tuple[str, ...]:
        """Names of the layers with a verdict."""
        return tuple(layer.name for layer in self.layers if layer.verdict == verdict)
