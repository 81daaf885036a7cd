"""The power-law fit: closed forms, a brute force, WeightWatcher's fit and the invariances."""

from __future__ import annotations

import contextlib
import io

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import optimize

from wwopt.powerlaw import fit_powerlaw, fit_powerlaws

spectra = st.tuples(st.integers(2, 300), st.floats(0.3, 5), st.integers(0, 2**32 - 1)).map(
    lambda args: np.random.default_rng(args[2]).pareto(args[1], args[0]) + 1e-3
)


def brute_force(evals):
    """Clauset's search written down as it is defined: every xmin, its alpha, its distance."""
    x = np.sort(evals)
    best = (np.inf, np.nan, np.nan)
    for i in range(len(x) - 1):
        tail = x[i:]
        excess = np.log(tail / tail[0]).sum()
        if excess <= 0:
            continue
        alpha = 1 + len(tail) / excess
        D = np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max()
        if best[0] > D + 1e-12:
            best = (D, alpha, tail[0])
    return best


@given(spectra)
def test_equals_brute_force(evals):
    """The pruned search finds the xmin, the alpha and the D of the full one."""
    D, alpha, xmin = brute_force(evals)
    fit = fit_powerlaw(evals)
    assert (fit.D, fit.alpha, fit.xmin) == pytest.approx((D, alpha, xmin), rel=1e-9)


@given(st.integers(20, 400), st.floats(0.3, 5), st.integers(0, 1000))
def test_equals_weightwatcher(n, tail, seed):
    """WeightWatcher's own fit gives the same six numbers from 20 eigenvalues on."""
    evals = np.random.default_rng(seed).pareto(tail, n) + 1e-2
    with contextlib.redirect_stdout(io.StringIO()):
        from weightwatcher.WW_powerlaw import WWFit

        theirs = WWFit(evals)
    fit = fit_powerlaw(evals)
    assert fit.alpha == pytest.approx(theirs.alpha, rel=1e-9)
    assert (fit.xmin, fit.D, fit.sigma) == pytest.approx((theirs.xmin, theirs.D, theirs.sigma), rel=1e-9)
    assert fit.num_pl_spikes == len(theirs.data)


@pytest.mark.parametrize("alpha", [1.5, 2.0, 3.0, 6.0])
def test_recovers_the_exponent_of_its_own_samples(alpha, rng):
    """Samples of a power law give its exponent back within four standard errors."""
    fit = fit_powerlaw((1 - rng.uniform(size=4000)) ** (-1 / (alpha - 1)))
    assert abs(fit.alpha - alpha) < 4 * fit.sigma
    assert fit.sigma == pytest.approx((fit.alpha - 1) / np.sqrt(fit.num_pl_spikes))


def test_two_values_in_closed_form():
    """Of 1 and e the only tail has alpha = 1 + 2/1, whose distance is 1 - e^-2 - 1/2."""
    fit = fit_powerlaw([1.0, np.e])
    assert fit.alpha == pytest.approx(3)
    assert pytest.approx(0.5 - np.exp(-2)) == fit.D
    assert (fit.xmin, fit.xmax, fit.num_pl_spikes) == (1.0, np.e, 2)


@given(spectra, st.floats(-200, 200))
def test_scale_moves_xmin_only(evals, exponent):
    """Rescaled values have the same alpha and D, and an xmin that scales with them."""
    fit, scaled = fit_powerlaw(evals), fit_powerlaw(evals * 10.0**exponent)
    assert scaled.alpha == pytest.approx(fit.alpha, rel=1e-9)
    assert pytest.approx(fit.D, abs=1e-9) == scaled.D
    assert scaled.xmin == pytest.approx(fit.xmin * 10.0**exponent, rel=1e-9)


@given(spectra, st.randoms(use_true_random=False))
def test_order_does_not_matter(evals, random):
    """A shuffled spectrum has the same fit."""
    shuffled = evals.tolist()
    random.shuffle(shuffled)
    assert fit_powerlaw(shuffled) == fit_powerlaw(evals)


@given(st.lists(spectra, min_size=1, max_size=5))
def test_together_as_alone(many):
    """A batch gives each spectrum the fit that it has alone, whatever the lengths of the others."""
    many = [np.sort(evals) for evals in many]
    together = fit_powerlaws([*many, many[0] * 2])
    for fit, evals in zip(together, many, strict=False):
        assert fit == fit_powerlaw(evals)


@pytest.mark.parametrize("evals", [[], [1.0], [2.0, 2.0, 2.0]])
def test_no_tail_no_fit(evals):
    """Too few values, or all the same, have no power law; that is None, not a number."""
    assert fit_powerlaw(evals) is None


def test_ties_take_the_smaller_xmin():
    """Where the distances of two tails differ by less than 1e-12, the longer tail is taken."""

    def distance_of_the_whole(a):
        x = np.exp([0.0, a, 1.0])
        alpha = 1 + 3 / np.log(x).sum()
        return np.abs(1 - x ** (1 - alpha) - np.arange(3) / 3).max()

    of_the_last_two = 0.5 - np.exp(-2)
    tie = optimize.brentq(lambda a: distance_of_the_whole(a) - of_the_last_two, 0.5, 0.9, xtol=1e-15)
    just_above = np.exp([0.0, tie + 1e-13, 1.0])
    clearly_above = np.exp([0.0, tie + 1e-9, 1.0])
    assert fit_powerlaw(just_above).xmin == 1.0
    assert fit_powerlaw(clearly_above).xmin == clearly_above[1]


def test_long_spectra(rng):
    """Twenty thousand values, whose full search would take 200 million differences, are fitted in closed form."""
    evals = np.sort(rng.pareto(2.0, 20_000) + 1)
    fit = fit_powerlaw(evals)
    at = np.searchsorted(evals, fit.xmin)
    tail = evals[at:]
    assert fit.alpha == pytest.approx(1 + len(tail) / np.log(tail / tail[0]).sum(), rel=1e-9)
