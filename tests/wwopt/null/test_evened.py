"""Evened matrices: noise of any kind is noise, whatever the scales of its rows, and a signal stays one."""

import numpy as np
import pytest

from wwopt.null import count_evened_spikes, even_norms, normal_scores

NOISE = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Student, 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "uneven rows and columns": lambda rng, shape: (
        rng.lognormal(size=(shape[0], 1)) * rng.normal(size=shape) * rng.lognormal(size=(1, shape[1]))
    ),
    "5% sparse": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.05),
}


def spikes(stack):
    """Spikes of a stack of matrices as they are."""
    return count_evened_spikes(normal_scores(even_norms(stack)))


@pytest.mark.parametrize("kind", NOISE)
def test_noise_shows_no_spike(kind):
    """In 100 matrices of each kind one has a spike at a rate of 1%; four would be one chance in fifty."""
    rng = np.random.default_rng(0)
    assert sum(spikes(NOISE[kind](rng, (70, 50))[None]) > 0 for _ in range(100)) <= 3


def test_a_signal_is_counted_whatever_the_scales():
    """Two strong directions are two spikes, also after rows and columns were rescaled."""
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(90, 60)) + 4 * rng.normal(size=(90, 2)) @ rng.normal(size=(2, 60))
    scaled = rng.lognormal(0, 1, (90, 1)) * signal * rng.lognormal(0, 1, (1, 60))
    assert spikes(signal[None]) == spikes(scaled[None]) == 2


def test_matrices_of_a_stack_may_share_their_factors():
    """Jointly, the norms over all matrices become even, and the share of each matrix stays."""
    rng = np.random.default_rng(2)
    stack = rng.normal(size=(3, 30, 20)) * np.array([1.0, 2.0, 3.0])[:, None, None]
    evened = even_norms(stack, jointly=True)
    rows = np.square(evened).sum(axis=(0, 2))
    assert rows == pytest.approx(np.full(30, rows[0]), rel=1e-6)
    assert np.square(evened[2]).sum() > 5 * np.square(evened[0]).sum()


def test_zeros_stay_and_large_stacks_are_ranked_by_counting(monkeypatch):
    """A matrix of zeros has no spike; counted ranks are those of sorting, to a hundredth."""
    assert spikes(np.zeros((1, 40, 30))) == 0
    values = np.random.default_rng(3).standard_t(3, (1, 200, 100))
    sorted_ = normal_scores(values)
    monkeypatch.setattr("wwopt.null.evened.FEW", 0)
    assert np.abs(normal_scores(values) - sorted_).max() < 0.02
