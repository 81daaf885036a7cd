"""`AlphaMonitor`: what each layer of a network in training is up to, without Optuna and without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from wwopt.pipeline import analyze
from wwopt.score import AlphaScore
from wwopt_objectives.constraints import FEWEST_DIRECTIONS, MOST_TRAPPED

if TYPE_CHECKING:
    from wwopt.analysis import Analysis

__all__ = ["AlphaMonitor", "LayerState", "Reading", "Verdict"]

Verdict = Literal[
    "broken", "collapsed", "trapped", "too early", "under-trained", "over-trained", "converged", "training"
]

NOISE_DISTANCE = AlphaScore().noise_distance / 3  # nearer to noise than this, alpha says nothing yet
STEADY = 0.1  # relative change of alpha from one reading to the next in a layer that has converged
STEADY_READINGS = 3

ADVICE: dict[Verdict, str] = {
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
class LayerState:
    """What a layer is up to.

    Attributes
    ----------
    name : str
        Name of the layer.
    alpha : float
        Its exponent, NaN where there is none.
    verdict : str
        One of the keys of ``advice``.
    advice : str
        What is commonly done about it. Advice, not a finding.
    """

    name: str
    alpha: float
    verdict: Verdict
    advice: str


@dataclass(frozen=True)
class Reading:
    """A look at a network in training.

    Attributes
    ----------
    step : int
        The step that was given.
    score : float
        `AlphaScore` of the network; lower is better.
    layers : tuple of LayerState
        In the network's order.
    analysis : wwopt.Analysis
        All the numbers.
    """

    step: int
    score: float
    layers: tuple[LayerState, ...]
    analysis: Analysis

    @property
    def broken(self) -> bool:
        """Whether training on is pointless: a layer has collapsed, diverged or is not finite."""
        return any(layer.verdict in ("broken", "collapsed", "trapped") for layer in self.layers)


class AlphaMonitor:
    """Watch a network's layers while it trains.

    Parameters
    ----------
    model : torch.nn.Module
        It is read, never changed.
    **options
        Further arguments of `wwopt.analyze`, such as ``min_evals``.

    Examples
    --------
    >>> import torch
    >>> monitor = AlphaMonitor(torch.nn.Linear(100, 100))
    >>> [layer.verdict for layer in monitor.step(0).layers]
    ['too early']
    """

    def __init__(self, model: torch.nn.Module, **options: Any) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
        self._model = model
        self._options = options
        self._alphas: dict[str, list[float]] = {}
        self.history: list[Reading] = []

    def step(self, step: int) -> Reading:
        """Look at the network after a step, an epoch for example, and keep the reading in ``history``."""
        analysis = analyze(self._model, progress=False, **self._options)
        rows = analysis.details.to_dict(orient="records")
        for row in rows:
            self._alphas.setdefault(row["name"], []).append(row["alpha"])
        layers = tuple(self._state({str(key): value for key, value in row.items()}) for row in rows)
        reading = Reading(step, AlphaScore()(analysis), layers, analysis)
        self.history.append(reading)
        return reading

    def _state(self, row: dict[str, Any]) -> LayerState:
        verdict = self._verdict(row)
        return LayerState(row["name"], row["alpha"], verdict, ADVICE[verdict])

    def _verdict(self, row: dict[str, Any]) -> Verdict:
        rules: tuple[tuple[Verdict, bool], ...] = (
            ("broken", row["status"] != "success"),
            ("collapsed", row["stable_rank"] < FEWEST_DIRECTIONS),
            ("trapped", row["trap_energy"] > MOST_TRAPPED),
            ("too early", row["rand_distance"] < NOISE_DISTANCE),
            ("under-trained", row["alpha"] > 6),
            ("over-trained", row["alpha"] < 2),
            ("converged", self._steady(row["name"])),
        )
        return next((verdict for verdict, holds in rules if holds), "training")

    def _steady(self, name: str) -> bool:
        alphas = self._alphas[name][-STEADY_READINGS:]
        return len(alphas) == STEADY_READINGS and max(alphas) - min(alphas) <= STEADY * min(alphas)
