"""The metric of a ranking: chosen by what is compared, or by the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wwopt.metrics import METRICS
from wwopt.powerlaw import ESTIMATORS
from wwopt.ranking.architecture import same_family, same_shapes
from wwopt.ranking.depth_series import ALPHA_WEIGHTED, why_no_series
from wwopt.ranking.intervals import draws_of_mean, draws_of_score

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.arrays import Floats
    from wwopt.ranking.rows import Network
    from wwopt.score import Score

__all__ = ["ALPHA_WEIGHTED", "SCORE", "Judge", "MetricChoice", "check_metric", "choose"]

SCORE = "score"
SHARES = ("share_over_6", "share_trapped")


@dataclass(frozen=True)
class MetricChoice:
    """A metric, why it was chosen, and what speaks against it."""

    metric: str
    reason: str
    warning: str = ""


def check_metric(metric: str | Score) -> None:
    """Check that there is such a metric.

    Raises
    ------
    ValueError
        There is none of this name.
    """
    known = (SCORE, *METRICS, *SHARES, "trap_energy")
    if isinstance(metric, str) and metric not in ("auto", *known):
        raise ValueError(f"`metric` must be 'auto', a score or one of {', '.join(known)}, got {metric!r}.")


def choose(metric: str | Score, networks: Sequence[Network], *, based: bool) -> MetricChoice:
    """Choose the metric for these networks; "auto" is the score, unless they are a series of depths."""
    if not isinstance(metric, str):
        return MetricChoice(SCORE, f"{metric.settings()['name']}, as asked for")
    if metric != "auto":
        return MetricChoice(metric, "as asked for")
    if based:
        return MetricChoice(SCORE, "the networks were tuned from one base, and their differences to it are compared")
    return _choose_by_architecture(networks)


def _choose_by_architecture(networks: Sequence[Network]) -> MetricChoice:
    architectures = [network.architecture for network in networks]
    if same_shapes(architectures):
        return MetricChoice(SCORE, "the networks have the same shapes")
    if not same_family(architectures):
        return MetricChoice(
            SCORE,
            "the networks are of different architectures, and those that failed get the worst scores",
            "No number from weights alone is reliable across architectures. Compare the parameters too, and test on "
            "data.",
        )
    objection = why_no_series(networks)
    if objection:
        return MetricChoice(
            SCORE, f"the networks are one family at several sizes, but no series of depths: {objection}"
        )
    return MetricChoice(
        ALPHA_WEIGHTED, "the networks are one family at several depths, all of them sound, and the deeper come first"
    )


@dataclass(frozen=True)
class Judge:
    """Computes a network's number, lower is better, and how far it would move with other layers."""

    metric: str
    score: Score
    strict: bool = False  # whether networks that learned nothing come behind the others, whatever their number

    def behind(self, analysis: Analysis) -> bool:
        """Whether a network comes behind the others, since none of its layers can be told from noise."""
        noise = {finding.row for finding in analysis.findings if finding.key == "noise"}
        return self.strict and 0 < len(analysis.details) == len(noise)

    @property
    def sign(self) -> int:
        """-1 where a higher number is better."""
        declared = METRICS.get(self.metric)
        return -1 if declared is not None and declared.higher_is_better else 1

    def value(self, analysis: Analysis) -> float:
        """Return the network's number as it is."""
        if self.metric == SCORE:
            return float(self.score(analysis))
        values = self._layers(analysis)
        finite = values[np.isfinite(values)]
        return float(finite.mean()) if len(finite) else float("nan")

    def draws(self, analysis: Analysis, seed: int) -> Floats:
        """Numbers of resampled layers."""
        if self.metric == SCORE:
            return draws_of_score(self.score, analysis, seed)
        return draws_of_mean(self._layers(analysis), seed)

    def _layers(self, analysis: Analysis) -> Floats:
        details = analysis.details
        if self.metric == "share_over_6":
            return np.asarray(details["alpha"] > ESTIMATORS[analysis.estimator].high, dtype=np.float64)
        if self.metric == "share_trapped":
            return np.asarray(details["num_traps"] > 0, dtype=np.float64)
        return np.asarray(details[self.metric], dtype=np.float64)
