"""Reports of `AlphaMonitor`: the diagnosis of a network in training, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["ADVICE", "LayerReport", "LayerVerdict", "MonitorReport"]

LayerVerdict = Literal[
    "broken", "collapsed", "trapped", "too early", "under-trained", "over-trained", "converged", "training"
]

BROKEN = ("broken", "collapsed", "trapped")

ADVICE: dict[LayerVerdict, str] = {
    "broken": "values that are not finite or all zero: go back to an earlier checkpoint, lower the learning rate",
    "collapsed": "nearly rank one: lower the learning rate or the weight decay",
    "trapped": "a few elements hold much of the energy: lower the learning rate or clip the gradients",
    "too early": "still like noise: train on, or raise the learning rate",
    "under-trained": "alpha above 6: train longer, raise the learning rate, or make the layer smaller",
    "over-trained": "alpha below 2: regularise more, add data, or stop earlier",
    "converged": "alpha between 2 and 6 and steady: it may be frozen",
    "training": "alpha between 2 and 6 and moving",
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
        ``broken``, ``collapsed``, ``trapped``, ``too early`` (still like noise), ``under-trained``,
        ``over-trained``, ``converged``, or ``training``.
    frozen : bool
        Whether the monitor has frozen it.
    advice : str
        What is commonly done about it; advice, not a finding.
    """

    name: str
    alpha: float
    change: float
    verdict: LayerVerdict
    frozen: bool
    advice: str

    @property
    def broken(self) -> bool:
        """Whether it is broken, collapsed or trapped."""
        return self.verdict in BROKEN


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
        """Whether training on is pointless: a layer has collapsed, diverged or is not finite."""
        return any(layer.broken for layer in self.layers)

    @property
    def table(self) -> pd.DataFrame:
        """A row per layer: name, alpha, change of alpha since the report before, verdict, whether frozen, advice."""
        return pd.DataFrame(
            [vars(layer) for layer in self.layers], columns=[field.name for field in fields(LayerReport)]
        )

    def named(self, verdict: LayerVerdict) -> tuple[str, ...]:
        """Names of the layers with a verdict."""
        return tuple(layer.name for layer in self.layers if layer.verdict == verdict)
