"""Smallest layers that say something: ``python -m benchmarks.engine.smallest_layers``, about five minutes.

Matrices with known power laws and noise, and small networks that were trained well and badly, by the size of their
layers. Writes the table in docs/metrics.md, from which `wwopt.powerlaw.Estimator.min_evals` was chosen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import kendalltau, rankdata
from sklearn.datasets import load_digits
from torch import nn

import wwopt
from wwopt.powerlaw import ESTIMATORS

if TYPE_CHECKING:
    from wwopt.arrays import Floats
    from wwopt.powerlaw import EstimatorName

__all__ = ["Networks", "auc", "learned", "order", "told_from_noise", "trained_networks"]

SIZES = (8, 10, 12, 16, 20, 24, 32, 48, 64)
RATIOS = (1, 2, 4)
WELL, BADLY = 2.0, 4.0  # exponents of layers that are trained well, and hardly
NOISE = 0.25  # share of a learned matrix's energy
MATRICES = 60  # of each kind
NETWORKS = 80  # of each width
GOOD, BAD = 0.05, 0.6  # distance to the best accuracy of the width, and an accuracy that is bad
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
MARKS = "<!-- smallest layers -->\n", "<!-- end of smallest layers -->"
HEAD = (
    f"| M | noise told | {' | '.join(f'{name}: order' for name in ESTIMATORS)} | "
    f"{' | '.join(f'{name}: good, tau' for name in ESTIMATORS)} |\n|{'---|' * (2 + 2 * len(ESTIMATORS))}\n"
)


def learned(N: int, M: int, exponent: float, rng: np.random.Generator) -> Floats:
    """Return a matrix of unit energy whose eigenvalues are quantiles of a power law, with noise on top."""
    evals = (1 - (np.arange(M) + 0.5) / M) ** (-1 / (exponent - 1))
    left, right = (np.linalg.qr(rng.normal(size=(size, M)))[0] for size in (N, M))
    signal = left * np.sqrt(evals) @ right.T
    matrix: Floats = signal * np.sqrt((1 - NOISE) * N * M) / np.linalg.norm(signal)
    return matrix + np.sqrt(NOISE) * rng.normal(size=(N, M))


def auc(better: Floats, worse: Floats) -> float:
    """Chance that one of the first is smaller than one of the second; ties count half."""
    ranks = rankdata(np.concatenate([better, worse]))[: len(better)]
    return float(1 - (ranks.sum() - len(better) * (len(better) + 1) / 2) / (len(better) * len(worse)))


def _analyzed(matrices: list[Floats], estimator: EstimatorName = "mle") -> wwopt.Analysis:
    weights = {f"{i}.weight": matrix for i, matrix in enumerate(matrices)}
    return wwopt.analyze(weights, estimator=estimator, min_evals=2, progress=False)


def order(estimator: EstimatorName, N: int, M: int, seed: int = 0) -> float:
    """Chance that a well-trained layer has a smaller alpha than one that is hardly trained."""
    rng = np.random.default_rng([seed, N, M])
    matrices = [learned(N, M, exponent, rng) for exponent in (WELL, BADLY) for _ in range(MATRICES)]
    alpha = np.nan_to_num(_analyzed(matrices, estimator).numbers["alpha"], nan=np.inf)
    return auc(alpha[:MATRICES], alpha[MATRICES:])


def told_from_noise(N: int, M: int, seed: int = 0) -> float:
    """Chance that a well-trained layer has a smaller `p_noise` than noise."""
    rng = np.random.default_rng([seed, N, M])
    matrices = [learned(N, M, WELL, rng) for _ in range(MATRICES)]
    p_noise = _analyzed([*matrices, *rng.normal(size=(MATRICES, N, M))]).numbers["p_noise"]
    return auc(p_noise[:MATRICES], p_noise[MATRICES:])


@dataclass(frozen=True)
class Networks:
    """Networks of one width that were trained with many settings, good and bad, and their test accuracies."""

    models: list[nn.Sequential]
    accuracies: Floats

    def judged(self, estimator: EstimatorName, width: int) -> tuple[float, float]:
        """Chance that a good network has a better `AlphaScore` than a bad one, and Kendall's tau with accuracy."""
        score = wwopt.AlphaScore()
        options = {"min_evals": width, "estimator": estimator, "progress": False}
        scores = np.array([score(wwopt.analyze(model, **options)) for model in self.models])
        good = self.accuracies >= self.accuracies.max() - GOOD
        bad = self.accuracies < BAD
        return auc(scores[good], scores[bad]), float(kendalltau(-scores, self.accuracies).statistic)


def trained_networks(width: int) -> Networks:
    """Train small perceptrons on scikit-learn's digits: the learning rate, its decay and the epochs are drawn."""
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    shuffled = np.random.default_rng(0).permutation(len(x))
    rng = np.random.default_rng(width)
    models = [_train(width, rng, x[shuffled[:1200]], y[shuffled[:1200]]) for _ in range(NETWORKS)]
    with torch.no_grad():
        hits = [model(x[shuffled[1200:]]).argmax(1) == y[shuffled[1200:]] for model in models]
    return Networks(models, np.array([hit.float().mean().item() for hit in hits]))


def _train(width: int, rng: np.random.Generator, x: torch.Tensor, y: torch.Tensor) -> nn.Sequential:
    torch.manual_seed(int(rng.integers(1 << 31)))
    rate, decay, epochs = 10 ** rng.uniform(-3, 0.5), 10 ** rng.uniform(-5, -1), int(rng.choice([0, 2, 10, 30]))
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model


def _row(M: int) -> str:
    noise = min(told_from_noise(Q * M, M) for Q in RATIOS)
    orders = [min(order(name, Q * M, M) for Q in RATIOS) for name in ESTIMATORS]
    networks = trained_networks(M)
    judged = [networks.judged(name, M) for name in ESTIMATORS]
    cells = [f"{value:.2f}" for value in (noise, *orders)] + [f"{good:.2f}, {tau:.2f}" for good, tau in judged]
    return f"| {M} | {' | '.join(cells)} |\n"


def main() -> None:
    """Measure, print and write the table."""
    torch.set_num_threads(1)
    rows = []
    for M in SIZES:
        rows.append(_row(M))
        print(rows[-1], end="", flush=True)
    start, end = MARKS
    page = PAGE.read_text(encoding="utf-8")
    table = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    PAGE.write_text(table.sub(f"{start}{HEAD}{''.join(rows)}{end}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
