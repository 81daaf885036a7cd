"""The diagnosis of layers that are made to be this or that, by each estimator."""

from __future__ import annotations

import numpy as np
import pytest

import wwopt
from wwopt.diagnosis import CATALOGUE, FAULT_KEYS, Finding, diagnose
from wwopt.powerlaw import ESTIMATORS


def columns(**values):
    """Columns of one layer that is sound but for these values."""
    sound = {"alpha": 2.6, "sigma": 0.1, "stable_rank": 20.0, "trap_energy": 0.0, "spectral_norm": 1.0}
    sound |= {"p_noise": 1e-9, "p_spike": 1e-9}
    words = {
        "name": np.array(["fc"], dtype=object),
        "status": np.array([values.pop("status", "success")], dtype=object),
    }
    return {name: np.array([value]) for name, value in (sound | values).items()}, words


def keys(estimator="mle", **values):
    return [finding.key for finding in diagnose(*columns(**values), estimator=estimator)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"status": "non-finite", "stable_rank": np.nan, "alpha": np.nan}, ["non-finite"]),
        ({"status": "degenerate", "spectral_norm": np.nan, "alpha": np.nan}, ["zero"]),
        ({"status": "degenerate", "stable_rank": 1.0, "alpha": np.nan}, ["degenerate"]),
        ({"status": "failed", "alpha": np.nan, "p_noise": 1.0}, ["no-fit"]),
        ({"stable_rank": 1.49}, ["collapsed"]),
        ({"stable_rank": 1.5}, []),
        ({"trap_energy": 0.11}, ["diverged"]),
        ({"trap_energy": 0.1}, ["trapped"]),
        ({"trap_energy": 0.02}, []),
        ({"p_noise": 0.2, "p_spike": 0.3, "alpha": 9.0}, ["noise"]),
        ({"p_noise": 0.2, "p_spike": np.nan}, ["noise"]),
        ({"p_noise": np.nan, "p_spike": np.nan, "trap_energy": np.nan}, []),
        ({"alpha": 9.0, "stable_rank": 1.2}, ["collapsed", "under-trained"]),
    ],
)
def test_each_rule(values, expected):
    """A layer has the finding that its numbers call for, and no other."""
    assert keys(**values) == expected


@pytest.mark.parametrize(
    ("alpha", "sigma", "expected"),
    [
        (1.97, 0.12, []),
        (1.7, 0.12, ["over-trained"]),
        (6.3, 0.2, []),
        (6.5, 0.2, ["under-trained"]),
        (6.1, np.nan, ["under-trained"]),
        (1.9, np.nan, ["over-trained"]),
    ],
)
def test_the_standard_error_counts(alpha, sigma, expected):
    """An alpha is out of its range only by more than two of its standard errors, where these are known."""
    assert keys(alpha=alpha, sigma=sigma) == expected


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_each_estimator_has_its_range(estimator):
    """The range that counts is the estimator's own."""
    limits = ESTIMATORS[estimator]
    above = keys(estimator, alpha=limits.high + 0.3, sigma=0.1)
    below = keys(estimator, alpha=max(limits.low - 0.3, 0.0), sigma=0.1)
    assert above == ["under-trained"]
    assert below == ["under-trained" if estimator == "tpl" else "over-trained"]
    assert keys(estimator, alpha=(max(limits.low, 1.5) + limits.high) / 2, sigma=0.1) == []


def test_the_sentence_has_the_numbers():
    """A finding says of which layer what holds, with the numbers that led to it."""
    (finding,) = diagnose(*columns(stable_rank=1.25))
    assert isinstance(finding, Finding)
    assert str(finding) == "fc has a stable rank of 1.25, below 1.5"
    assert (finding.layer, finding.severity, finding.row) == ("fc", "broken", 0)
    assert finding.advice == CATALOGUE["collapsed"].advice


def test_the_most_severe_is_first():
    """Broken layers come before warnings, whatever their place in the network."""
    weights = {"first.weight": np.random.default_rng(0).normal(size=(60, 60)), "last.weight": np.zeros((60, 60))}
    found = wwopt.analyze(weights).findings
    assert [(finding.layer, finding.key) for finding in found] == [("last", "zero"), ("first", "noise")]


@pytest.mark.parametrize("kind", FAULT_KEYS)
def test_tensors_that_are_not_analysed(kind):
    """A fault outside of the layers breaks the network too, and names its tensor."""
    (finding,) = diagnose(*columns(), faults=[("bn.running_var", kind)])
    assert (finding.key, finding.layer, finding.severity, finding.row) == (
        FAULT_KEYS[kind],
        "bn.running_var",
        "broken",
        None,
    )


def test_a_difference_may_be_zero(rng):
    """Against a base, a layer that was not trained is unchanged, and one may change by rank one."""
    base = {name: rng.normal(size=(80, 60)) for name in ("frozen.weight", "tuned.weight")}
    tuned = base | {"tuned.weight": base["tuned.weight"] + np.outer(rng.normal(size=80), rng.normal(size=60))}
    analysis = wwopt.analyze(tuned, base=base)
    assert [(finding.key, finding.layer, finding.severity) for finding in analysis.findings] == [
        ("unchanged", "frozen", "note")
    ]


def test_an_identity_matrix_is_no_broken_layer():
    """Recurrent layers and residual branches begin so: there is no alpha, and nothing is broken."""
    (finding,) = wwopt.analyze({"rnn.weight": np.eye(80)}).findings
    assert (finding.key, finding.severity) == ("no-fit", "warning")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_summary_counts_by_the_estimators_range(rng, estimator):
    """The shares outside of the range are those of the estimator's own range."""
    analysis = wwopt.analyze(
        {f"{i}.weight": rng.standard_t(2 + i, size=(90, 60)) for i in range(5)}, estimator=estimator
    )
    alpha, limits = analysis.numbers["alpha"], ESTIMATORS[estimator]
    assert analysis.summary["share_over_6"] == (alpha > limits.high).mean()
    assert analysis.summary["share_under_2"] == (alpha < limits.low).mean()


def test_an_embedding_may_share_a_mean(rng):
    """A mean of all rows, or rare rows that stand out, belong to sound embeddings: worth a look, and not broken."""
    shared = np.ones((200, 60)) + 0.1 * rng.normal(size=(200, 60))
    stray = rng.normal(size=(200, 60))
    stray[5, 5] = 60.0
    weights = {"embeddings.weight": shared, "tok_embedding.weight": stray, "fc.weight": shared.copy()}
    found = {(finding.layer, finding.key, finding.severity) for finding in wwopt.analyze(weights).findings}
    assert ("embeddings", "dominated", "warning") in found
    assert ("tok_embedding", "trapped", "warning") in found
    assert {finding for finding in found if finding[2] == "broken"} == {("fc", "collapsed", "broken")}
