"""Ways to choose a network: scores of the weights, and baselines.

To add a score, add a `Judge`: `weights(name, score)` makes one of any object that is called with an
`Analysis` and gives less for a better network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from wwopt import AlignmentScore, AlphaScore, ResponseScore, default_score, rank

if TYPE_CHECKING:
    from benchmarks.selection.networks import Network
    from wwopt.analysis import Analysis

__all__ = ["Judge", "ablations", "judges", "mixed", "requirements", "weights"]

Values = NDArray[np.float64]
DRAWS = 50  # of random choices, whose mean is reported


class _Recommended:
    """The score that `default_score` recommends for each network."""

    requires: ClassVar[Mapping[str, Any]] = {**AlphaScore.requires, **ResponseScore.requires}

    def __call__(self, analysis: Analysis) -> float:
        return default_score(analysis)(analysis)


@dataclass(frozen=True)
class Judge:
    """A way to choose: ``values`` gives a number for each network of a task, less for a better one.

    ``sees`` names the data it uses: ``weights``, ``training`` (the training loss, no other data) or ``data``.
    A number that is NaN puts a network last. Values of shape (draws, networks) are averaged over the draws.
    """

    name: str
    sees: str
    values: Callable[[Sequence[Network]], Values]
    requires: Mapping[str, Any] | None = None


def weights(name: str, score: Callable[[Analysis], float], sees: str = "weights") -> Judge:
    """Judge by a function of the analysis; its ``requires``, where it has one, goes to `wwopt.analyze`."""

    def values(networks: Sequence[Network]) -> Values:
        return np.array([score(network.analysis) for network in networks], dtype=np.float64)

    return Judge(name, sees, values, getattr(score, "requires", None))


def mixed(name: str, first: Judge, second: Judge, share: float) -> Judge:
    """Judge by the weighted mean of two judges' ranks."""
    sees = max(first.sees, second.sees, key=("weights", "training", "data").index)

    def values(networks: Sequence[Network]) -> Values:
        return share * ranks(first.values(networks)) + (1 - share) * ranks(second.values(networks))

    return Judge(name, sees, values, {**(first.requires or {}), **(second.requires or {})})


def ranks(values: Values) -> Values:
    """Ranks from 1, ties sharing theirs, NaN last."""
    return np.asarray(rankdata(np.where(np.isnan(values), np.inf, values)), dtype=np.float64)


def requirements(chosen: Sequence[Judge]) -> dict[str, Any]:
    """Arguments of `wwopt.analyze` that all judges need together."""
    return {name: value for judge in chosen for name, value in (judge.requires or {}).items()}


def judges() -> list[Judge]:
    """Scores, then baselines."""
    alpha, loss = weights("AlphaScore()", AlphaScore()), _recorded("training loss", "training", "train_loss")
    recommended = weights("default_score()", _Recommended())
    return [
        recommended,
        alpha,
        Judge("wwopt.rank(modules)", "weights", _ranked),
        mixed("default_score() .75 + training loss .25, ranks", recommended, loss, 0.75),
        mixed("AlphaScore() .75 + training loss .25, ranks", alpha, loss, 0.75),
        weights("AlignmentScore()", AlignmentScore()),
        weights("ResponseScore()", ResponseScore()),
        weights("response alone", _response),
        weights("ResponseScore.wrong_labels()", ResponseScore.wrong_labels()),
        weights("mean alpha", lambda analysis: _mean(analysis, "alpha")),
        weights("mean abs(alpha - 2)", _distance),
        weights("alpha_weighted", lambda analysis: _mean(analysis, "alpha_weighted")),
        weights("log_alpha_norm", lambda analysis: _mean(analysis, "log_alpha_norm")),
        weights("log_norm", lambda analysis: _mean(analysis, "log_norm")),
        weights("log_spectral_norm", lambda analysis: _mean(analysis, "log_spectral_norm")),
        weights("stable rank, large", lambda analysis: -_mean(analysis, "stable_rank")),
        weights("effective rank, large", lambda analysis: -_effective_rank(analysis)),
        Judge("parameters, many", "weights", lambda networks: -_numbers(networks, "parameters")),
        Judge("random", "weights", _random),
        loss,
        _recorded("validation loss", "data", "val_loss"),
        Judge("validation quality", "data", lambda networks: -_numbers(networks, "val_quality")),
    ]


def ablations() -> list[Judge]:
    """`AlphaScore` whole, without each of its terms, and each term alone."""
    score = AlphaScore()
    nothing = dict.fromkeys(score.TERMS, 0.0)
    without = [weights(f"without {term}", replace(score, **{term: 0.0})) for term in score.TERMS]
    alone = [
        weights(f"{term} alone", replace(score, **{**nothing, term: getattr(score, term)})) for term in score.TERMS
    ]
    return [weights("AlphaScore()", score), *without, *alone]


def _ranked(networks: Sequence[Network]) -> Values:
    """Places in the order of `wwopt.rank`, which runs the modules on noise."""
    order = rank({str(i): network.model() for i, network in enumerate(networks)}, progress=False).table.index
    return np.array([order.get_loc(str(i)) for i in range(len(networks))], dtype=np.float64)


def _recorded(name: str, sees: str, number: str) -> Judge:
    return Judge(name, sees, lambda networks: _numbers(networks, number))


def _numbers(networks: Sequence[Network], name: str) -> Values:
    return np.array([network.number(name) for network in networks])


def _random(networks: Sequence[Network]) -> Values:
    return np.random.default_rng(0).random((DRAWS, len(networks)))


def _mean(analysis: Analysis, column: str) -> float:
    """Mean over the layers that have a number; NaN where a layer's weights are not finite."""
    rows = analysis.details
    return math.nan if (rows["status"] == "non-finite").any() else float(rows[column].mean())


def _distance(analysis: Analysis) -> float:
    rows = analysis.details
    return math.nan if (rows["status"] == "non-finite").any() else float((rows["alpha"] - 2).abs().mean())


def _response(analysis: Analysis) -> float:
    """Information in the outputs for noise, lower for more."""
    return math.nan if analysis.response is None else -analysis.response.information


def _effective_rank(analysis: Analysis) -> float:
    """Mean over the layers of exp(entropy of the eigenvalues' shares) / number of eigenvalues."""
    shares = [evals / evals.sum() if evals.sum() > 0 else evals for evals in analysis.spectra.values()]
    logs = [-float(np.sum(p * np.log(np.where(p > 0, p, 1.0)))) for p in shares]
    return float(np.mean([math.exp(entropy) / len(p) for entropy, p in zip(logs, shares, strict=True)]))
