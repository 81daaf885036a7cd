"""`AlphaMonitor`: what each layer of a network in training is up to, without Optuna and without data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch

from wwopt.engine.analyze import analyze
from wwopt.score import AlphaScore
from wwopt_objectives.training.distributed import from_rank_zero
from wwopt_objectives.training.freezing import Freezer
from wwopt_objectives.trial.constraints import FEWEST_DIRECTIONS, MOST_TRAPPED

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.score import Score

__all__ = ["AlphaMonitor", "LayerState", "Reading", "Verdict"]

Verdict = Literal[
    "broken", "collapsed", "trapped", "too early", "under-trained", "over-trained", "converged", "training"
]

BROKEN = ("broken", "collapsed", "trapped")
NOISE_DISTANCE = 0.1  # nearer to noise than this, alpha says nothing yet
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
    change : float
        Change of alpha since the reading before, NaN at the first.
    verdict : str
        ``broken``, ``collapsed``, ``trapped``, ``too early`` (still like noise), ``under-trained``,
        ``over-trained``, ``converged``, or ``training``.
    frozen : bool
        Whether the monitor has frozen it.
    advice : str
        What is commonly done about it. Advice, not a finding.
    """

    name: str
    alpha: float
    change: float
    verdict: Verdict
    frozen: bool
    advice: str

    @property
    def broken(self) -> bool:
        """Whether it is broken, collapsed or trapped."""
        return self.verdict in BROKEN


@dataclass(frozen=True)
class Reading:
    """A look at a network in training.

    Attributes
    ----------
    step : int
        The step that was given.
    score : float
        Score of the network; lower is better.
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
        return any(layer.broken for layer in self.layers)

    @property
    def table(self) -> pd.DataFrame:
        """A row per layer: name, alpha, change of alpha since the reading before, verdict, whether frozen, advice."""
        return pd.DataFrame(
            [vars(layer) for layer in self.layers], columns=[field.name for field in fields(LayerState)]
        )

    def named(self, verdict: Verdict) -> tuple[str, ...]:
        """Names of the layers with a verdict."""
        return tuple(layer.name for layer in self.layers if layer.verdict == verdict)


class AlphaMonitor:
    """Watch a network's layers while it trains.

    Parameters
    ----------
    model : torch.nn.Module
        It is read; changed only where freezing is asked for.
    freeze : bool
        Freeze each layer once it has converged ("early freezing"): its parameters ask for no gradient any more.
        `unfreeze` takes it back.
    score : Score, optional
        What ``Reading.score`` is; None for `AlphaScore`.
    **options
        Further arguments of `wwopt.analyze`, such as ``min_evals``.

    Notes
    -----
    Where several processes train the model (torch.distributed), each must call `step`: rank 0 looks, and all get its
    reading, so that all decide alike.

    Examples
    --------
    >>> import torch
    >>> monitor = AlphaMonitor(torch.nn.Linear(100, 100))
    >>> [layer.verdict for layer in monitor.step(0).layers]
    ['too early']
    """

    def __init__(
        self, model: torch.nn.Module, *, freeze: bool = False, score: Score | None = None, **options: Any
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
        self._model = model
        self._freeze_converged = freeze
        self._score: Score = AlphaScore() if score is None else score
        self._options = {**self._score.requires, **options}
        self._alphas: dict[str, list[float]] = {}
        self._freezer = Freezer(model)
        self.history: list[Reading] = []

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the layers that are frozen."""
        return self._freezer.names

    def step(self, step: int) -> Reading:
        """Look at the network after a step, an epoch for example, and keep the reading in ``history``."""
        return self.take(from_rank_zero(lambda: self.read(step)))

    def take(self, reading: Reading) -> Reading:
        """Keep a reading, and freeze what has converged where that was asked for."""
        self.history.append(reading)
        if self._freeze_converged:
            self.freeze(self._wholly_converged(reading))
        return reading

    def freeze(self, names: Iterable[str]) -> None:
        """Train layers no further, with their biases.

        Raises
        ------
        ValueError
            The model has no such layer.
        RuntimeError
            Several processes train the model.
        """
        self._freezer.freeze(names)

    def unfreeze(self, names: Iterable[str] | None = None) -> None:
        """Train layers again; all that are frozen where no names are given."""
        self._freezer.unfreeze(names)

    def read(self, step: int, analysis: Analysis | None = None) -> Reading:
        """Judge the network as it is, or an analysis of it that was made already; on this process alone."""
        if analysis is None:
            analysis = analyze(self._model, progress=False, **self._options)
        rows = [{str(key): value for key, value in row.items()} for row in analysis.details.to_dict(orient="records")]
        for row in rows:
            self._alphas.setdefault(row["name"], []).append(row["alpha"])
        return Reading(step, self._score(analysis), tuple(map(self._state, rows)), analysis)

    def _wholly_converged(self, reading: Reading) -> list[str]:
        """Layers that have converged; the parts of a fused tensor only together, since they are frozen together."""
        parameters = {layer.name: self._freezer.key(layer.name) for layer in reading.layers}
        moving = {parameters[layer.name] for layer in reading.layers if layer.verdict != "converged"}
        return [name for name in reading.named("converged") if parameters[name] not in moving]

    def _state(self, row: dict[str, Any]) -> LayerState:
        verdict, alphas = self._verdict(row), self._alphas[row["name"]]
        change = alphas[-1] - alphas[-2] if len(alphas) > 1 else math.nan
        return LayerState(row["name"], row["alpha"], change, verdict, row["name"] in self.frozen, ADVICE[verdict])

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
