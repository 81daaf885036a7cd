"""The estimators beside maximum likelihood: definitions, the powerlaw package, invariances, their own thresholds."""

from __future__ import annotations

import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import integrate

import wwopt
from wwopt.powerlaw import ESTIMATORS, fit_powerlaw, fit_powerlaws
from wwopt.powerlaw.search import search
from wwopt.spectra import eigenvalues

SEEDS = st.integers(0, 2**32 - 1)
spectra = st.builds(
    lambda n, tail, seed: np.random.default_rng(seed).pareto(tail, n) + 1e-3,
    st.integers(2, 300),
    st.floats(0.3, 5),
    SEEDS,
)
names = pytest.mark.parametrize("estimator", ESTIMATORS)


@given(spectra)
def test_hill_in_closed_form(evals):
    """The upper half, from its smallest value on: 1 + k / sum ln(x / x_med), and what follows from it."""
    fit, x = fit_powerlaw(evals, estimator="hill"), np.sort(evals)
    tail = x[len(x) // 2 :]
    if len(tail) < 2:
        assert fit is None
        return
    exponent = len(tail) / np.log(tail / tail[0]).sum()
    assert (fit.alpha, fit.xmin, fit.xmax) == pytest.approx((1 + exponent, tail[0], x[-1]))
    assert (fit.num_pl_spikes, fit.sigma) == (len(tail), pytest.approx(exponent / np.sqrt(len(tail))))
    assert pytest.approx(np.abs(1 - (tail / tail[0]) ** -exponent - np.arange(len(tail)) / len(tail)).max()) == fit.D


@given(spectra)
def test_peak_by_brute_force(evals):
    """Of the values near the fullest of 100 bins of log10 x, the one whose tail fits best."""
    x = np.sort(evals)
    counts, edges = np.histogram(np.log10(x), bins=100)
    peak = edges[counts.argmax()]
    logs = np.log10(x[:-1])
    near = np.nonzero((logs >= peak + np.log10(0.95) - 1e-9) & (logs <= peak + np.log10(1.5) + 1e-9))[0]
    fit = fit_powerlaw(evals, estimator="peak")
    if len(near) == 0:
        assert fit is None
        return
    alphas = [1 + (len(x) - i) / np.log(x[i:] / x[i]).sum() for i in near]
    distances = [
        np.abs(1 - (x[i:] / x[i]) ** (1 - alpha) - np.arange(len(x) - i) / (len(x) - i)).max()
        for i, alpha in zip(near, alphas, strict=True)
    ]
    assert pytest.approx(min(distances), abs=1e-9) == fit.D
    assert fit.alpha == pytest.approx(alphas[int(np.argmin(distances))], rel=1e-9)


def truncated_samples(alpha, rate, n, seed=1):
    """Values above 1 with density ``x^-alpha exp(-rate x)``: exponential ones, thinned by the power law."""
    rng = np.random.default_rng(seed)
    samples = np.empty(0)
    while len(samples) < n:
        x = 1 - np.log(1 - rng.uniform(size=10 * n)) / rate
        samples = np.append(samples, x[rng.uniform(size=10 * n) < x**-alpha])
    return np.sort(samples[:n])


@pytest.mark.parametrize(("alpha", "rate"), [(2.0, 0.1), (1.3, 0.02), (3.0, 0.3)])
def test_truncated_equals_the_powerlaw_package(alpha, rate):
    """Exponent, cut-off and distance are the package's, to the digits that its search gives."""
    x = truncated_samples(alpha, rate, 300)
    fit = fit_powerlaw(x, estimator="tpl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import powerlaw

        theirs = powerlaw.Truncated_Power_Law(
            data=x[-fit.num_pl_spikes :],
            xmin=fit.xmin,
            parameter_ranges={"alpha": [0, 20], "Lambda": [0, None]},
            verbose=0,
        )
    assert (fit.alpha, fit.Lambda) == pytest.approx((theirs.alpha, theirs.Lambda), rel=1e-3, abs=1e-4)
    assert pytest.approx(theirs.D, abs=1e-4) == fit.D


@given(spectra)
def test_truncated_is_the_likeliest(evals):
    """Where both parameters are free the fit has the data's mean of ln x and of x, which is the maximum's condition."""
    fit, pure = fit_powerlaw(evals, estimator="tpl"), fit_powerlaw(evals)
    if pure is None:
        assert fit is None
        return
    assert fit.xmin == pure.xmin
    assert 0 <= fit.alpha <= pure.alpha + 1e-12
    u = np.sort(evals)[-fit.num_pl_spikes :] / fit.xmin
    rate = fit.Lambda * fit.xmin
    if rate == 0:
        assert fit.alpha == pytest.approx(pure.alpha)
    elif fit.alpha == 0:
        assert rate == pytest.approx(1 / (u - 1).mean())
    else:
        log, value = means(fit.alpha, rate)
        assert (log, value) == pytest.approx((np.log(u).mean(), (u - 1).mean()), rel=1e-5)


def means(alpha, rate):
    """Means of ln u and of u - 1 under ``u^-alpha exp(-rate u)``, u > 1, by the rule of Simpson."""
    t = np.linspace(0, np.log1p(700 / rate), 20_001)
    density = np.exp((1 - alpha) * t - rate * np.expm1(t))
    return tuple(integrate.simpson(density * f, x=t) / integrate.simpson(density, x=t) for f in (t, np.expm1(t)))


def test_standard_errors_are_those_of_many_samples():
    """Over 300 samples with a known xmin the estimates scatter as `sigma` says, for each estimator that has one."""
    rng = np.random.default_rng(3)
    pure = np.sort((1 - rng.uniform(size=(300, 400))) ** (-1 / 1.5), axis=1)
    fits = fit_powerlaws(list(pure), estimator="hill")
    assert np.std([fit.alpha for fit in fits]) == pytest.approx(np.mean([fit.sigma for fit in fits]), rel=0.15)


@names
@given(spectra, st.floats(-100, 100))
def test_scale_moves_xmin_only(estimator, evals, exponent):
    """Rescaled values have the same alpha and D, and an xmin and a cut-off that scale with them."""
    scale = 2.0 ** round(exponent)
    fit, scaled = fit_powerlaw(evals, estimator=estimator), fit_powerlaw(evals * scale, estimator=estimator)
    if fit is None:
        assert scaled is None
        return
    assert (scaled.alpha, scaled.D, scaled.num_pl_spikes) == (fit.alpha, fit.D, fit.num_pl_spikes)
    assert (scaled.xmin, scaled.xmax) == (fit.xmin * scale, pytest.approx(fit.xmax * scale))
    assert scaled.Lambda == pytest.approx(fit.Lambda / scale, nan_ok=True)


@names
@given(spectra, st.randoms(use_true_random=False))
def test_order_does_not_matter(estimator, evals, random):
    """A shuffled spectrum has the same fit, to the bit."""
    shuffled = evals.tolist()
    random.shuffle(shuffled)
    assert repr(fit_powerlaw(shuffled, estimator=estimator)) == repr(fit_powerlaw(evals, estimator=estimator))


@names
@given(st.lists(spectra, min_size=1, max_size=5))
def test_together_as_alone(estimator, many):
    """A batch gives each spectrum the fit that it has alone, to the bit."""
    many = [np.sort(evals) for evals in many]
    together = fit_powerlaws([*many, many[0] * 2], estimator=estimator)
    alone = [fit_powerlaw(evals, estimator=estimator) for evals in [*many, many[0] * 2]]
    assert repr(together) == repr(alone)


@names
@given(SEEDS, st.integers(12, 30), st.integers(12, 30), st.integers(2, 5))
def test_weights_have_one_alpha(estimator, seed, rows, columns, k):
    """Transposed, permuted or stacked in another order, a layer's weights have the same alpha."""
    rng = np.random.default_rng(seed)
    stack = rng.normal(size=(rows, columns, k)) * (rng.pareto(1.5, size=(rows, 1, 1)) + 0.1)
    turned = stack[rng.permutation(rows)].transpose(1, 0, 2)[:, :, rng.permutation(k)]

    def alpha(weight):
        row = wwopt.analyze({"layer.weight": weight}, min_evals=2, estimator=estimator, zero_tol=0.0).details.iloc[0]
        return row["alpha"]

    by_hand = np.sort(eigenvalues(np.moveaxis(stack if rows >= columns else stack.swapaxes(0, 1), 2, 0)), axis=None)
    expected = fit_powerlaw(by_hand, estimator=estimator).alpha
    assert alpha(stack) == pytest.approx(alpha(turned), rel=1e-6, abs=1e-6)
    assert alpha(stack) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@names
@pytest.mark.parametrize("evals", [[], [1.0], [2.0, 2.0, 2.0]])
def test_no_tail_no_fit(estimator, evals):
    """Too few values, or all the same, have no power law; that is None, not a number."""
    assert fit_powerlaw(evals, estimator=estimator) is None


@names
def test_recovers_the_exponent_of_its_own_samples(estimator, rng):
    """Samples of a power law give its exponent back within four standard errors, whatever xmin is."""
    fit = fit_powerlaw((1 - rng.uniform(size=4000)) ** -0.5, estimator=estimator)
    assert abs(fit.alpha - 3) < 4 * fit.sigma


def test_small_sample_correction_is_unbiased():
    """Of tails with eight values, the mean of `alpha_corrected` is the exponent; that of alpha is a third too large."""
    from wwopt.metrics import METRICS, Layers

    rng = np.random.default_rng(0)
    evals = np.sort((1 - rng.uniform(size=(20_000, 16))) ** -0.5, axis=1)
    fits = fit_powerlaws(list(evals), estimator="hill")
    layers = Layers(evals, 1, 16, 16, np.zeros(len(evals)), fits, "hill")
    assert METRICS["alpha"].compute(layers).mean() == pytest.approx(1 + 2 * 8 / 6, rel=0.01)
    assert METRICS["alpha_corrected"].compute(layers).mean() == pytest.approx(3, rel=0.01)
    tpl = Layers(evals[:3], 1, 16, 16, np.zeros(3), fits[:3], "tpl")
    assert np.isnan(METRICS["alpha_corrected"].compute(tpl)).all()


@names
def test_warnings_belong_to_the_estimator(estimator, heavy_tailed):
    """A layer's warning follows from its alpha and the range of the estimator that gave it."""
    details = wwopt.analyze(
        {f"{i}.weight": heavy_tailed(90, 60, seed=i) for i in range(20)}, estimator=estimator
    ).details
    low, high = ESTIMATORS[estimator].low, ESTIMATORS[estimator].high
    for alpha, warning in zip(details["alpha"], details["warning"], strict=True):
        assert warning == ("under-trained" if alpha > high else "" if alpha >= low else ESTIMATORS[estimator].below)


def test_estimators_are_not_the_same(minilm):
    """On a trained network they differ by more than rounding, and each says which it was."""
    options = {"include": "encoder.layer.[01].*", "randomize": False}
    found = {name: wwopt.analyze(minilm, estimator=name, **options) for name in ESTIMATORS}
    assert len({round(analysis.summary["alpha"], 3) for analysis in found.values()}) == len(ESTIMATORS)
    assert all(analysis.settings["estimator"] == name for name, analysis in found.items())
    assert found["hill"].details["alpha"].max() < 3.7
    assert found["tpl"].details["Lambda"].notna().all()
    assert found["mle"].details["Lambda"].isna().all()


def test_unknown_estimator_says_which_there_are(rng):
    """An estimator that does not exist is a ValueError that lists those that do."""
    with pytest.raises(ValueError, match="`estimator` must be one of mle, hill, peak, tpl, got 'median'"):
        wwopt.analyze({"a.weight": rng.normal(size=(60, 60))}, estimator="median")


def test_mle_is_the_default(heavy_tailed):
    """Nothing said is maximum likelihood."""
    evals = np.sort(heavy_tailed(300).double().abs().numpy())
    assert [fit_powerlaw(evals)] == search(evals[None])


@pytest.mark.parametrize("gap", [1e-2, 1e-6, 1e-10, 1e-14])
@pytest.mark.parametrize("shape", ["two", "three", "cluster and one far out"])
def test_nearly_equal_values_are_fitted(gap, shape):
    """Where ln x and x cannot be told apart the truncated fit is still finite, and no steeper than the pure one."""
    evals = {"two": [1, 1 + gap], "three": [1, 1 + gap, 1 + 2 * gap], "cluster and one far out": [1, 1 + gap, 1e6]}[
        shape
    ]
    fit, pure = fit_powerlaw(evals, estimator="tpl"), fit_powerlaw(evals)
    assert np.isfinite([fit.alpha, fit.D, fit.Lambda]).all()
    assert 0 <= fit.alpha <= pure.alpha * (1 + 1e-9)


@names
@settings(max_examples=8)
@given(SEEDS, st.sampled_from([(1, 1, 3), (2, 2), (2, 1, 2), (3, 2), (2, 2, 3, 3)]), st.sampled_from([0.0, 1.0, 1e8]))
def test_tiny_layers_raise_nothing(estimator, seed, shape, shift):
    """Layers of a few elements are rows without a warning, and what p-values they have are probabilities."""
    W = np.random.default_rng(seed).normal(size=shape) + shift
    details = wwopt.analyze({"a.weight": W}, min_evals=2, estimator=estimator, confidence=0.9).details
    found = details[["p_noise", "p_spike"]].to_numpy()
    assert (np.isnan(found) | ((found >= 0) & (found <= 1))).all()
