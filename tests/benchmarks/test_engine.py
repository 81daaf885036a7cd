"""The page on speed and memory, and its figure."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.engine.document import page
from benchmarks.engine.fuzz import Findings
from benchmarks.engine.memory import Memory
from benchmarks.engine.rounds import Workload, compare
from benchmarks.engine.scaling import Scaling, draw
from benchmarks.engine.smallest_layers import auc, learned, order, told_from_noise
from wwopt.powerlaw import ESTIMATORS

MEMORY = Memory(before=200.0, peak=300.0, largest=128.0)
FINDINGS = Findings(outcomes=Counter({("zip", "analysed"): 3, ("zip", "ValueError"): 7}), longest=0.02)
SCALING = Scaling(
    sides={"double": {64: 0.01, 128: 0.02, 4096: 8.0}, "single": {64: 0.01, 128: 0.02, 4096: 4.0}},
    counts={1: 0.01, 1000: 1.5},
    workers={1: 2.0, 2: 1.1},
)


@pytest.mark.parametrize(
    ("required", "target", "verdict"),
    [
        (1e9, 1e9, "Below the required ratio: sums."),
        (0.0, 1e9, "Every required ratio is reached. Below the target: sums."),
        (0.0, 0.0, "Every target is reached."),
    ],
)
def test_page_shows_what_was_measured(required, target, verdict):
    """The table shows the ratio and its limits; workloads that fall short are named."""
    result = compare(Workload("sums", lambda: sum(range(1000)), lambda: sum(range(9000)), required, target, rounds=3))
    text = page("a machine", [result], MEMORY, FINDINGS, SCALING, minutes=9.6)
    assert f"| sums | {result.ours:.3f} |" in text
    assert f"\n{verdict}" in text
    assert "takes 300 MB over an interpreter with torch (200 MB); at most 584 MB are allowed" in text
    assert "Of 10 damaged files of 1 formats (`python -m benchmarks.engine.fuzz`) 3 were analysed, 7\n" in text
    assert "| double, s | 0.01 | 0.02 | 8 |" in text


def test_figure_shows_all_three():
    """A panel for the side, with both precisions; one for layers; one for workers."""
    axes = draw(SCALING).axes
    assert [len(panel.lines) for panel in axes] == [3, 1, 2]
    assert all(panel.get_xlabel() and panel.get_ylabel() == "seconds" for panel in axes)


def test_a_learned_matrix_has_its_exponent():
    """The spectrum falls off by the power law, but for the noise, whose share of the energy is as said."""
    W = learned(400, 200, 3.0, np.random.default_rng(0))
    assert np.mean(W**2) == pytest.approx(1, rel=0.1)
    evals = np.linalg.svd(W, compute_uv=False)[:20] ** 2
    slope = np.polyfit(np.log(evals), np.log(np.arange(1, 21)), 1)[0]
    assert 1 - slope == pytest.approx(3, abs=0.5)


def test_chance_of_being_smaller():
    """Ties count half."""
    assert auc(np.array([1.0, 2.0]), np.array([3.0])) == 1
    assert auc(np.array([1.0]), np.array([1.0])) == 0.5


@pytest.mark.parametrize("name", ["mle", "hill"])
def test_the_smallest_layers_say_something(name):
    """From the size on that an estimator names, its alpha orders layers, and noise is told."""
    smallest = ESTIMATORS[name].min_evals
    assert told_from_noise(smallest, smallest) > 0.9
    assert order(name, 2 * smallest, smallest) > 0.85
