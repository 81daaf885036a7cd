"""`AlphaScore`: finite, bounded, scale-invariant, and never won by a broken network."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wwopt


def analysis_of(**columns: object) -> wwopt.Analysis:
    """An analysis whose table says what a test wants; other numbers are those of a healthy layer."""
    count = max([len(value) for value in columns.values() if isinstance(value, list)], default=1)
    healthy = {
        "name": [f"layer{i}" for i in range(count)],
        "status": "success",
        "alpha": 2.0,
        "stable_rank": 20.0,
        "num_spikes": 20.0,
        "num_pl_spikes": 30.0,
        "trap_energy": 0.0,
        "num_traps": 0.0,
    }
    table = pd.DataFrame({**healthy, **columns})
    counts = dict.fromkeys(("layer_id", "N", "M", "rf", "num_evals"), 1)
    rows = [{"layer_type": "dense", "warning": "", **counts, **row} for row in table.to_dict("records")]
    return wwopt.Analysis.from_rows(rows, {})


SCORE = wwopt.AlphaScore()


@pytest.mark.parametrize(
    ("fault", "mild", "severe"),
    [
        ("alpha", 2.5, 3.0),
        ("alpha", 1.8, 1.3),
        ("alpha", 6.2, 6.8),
        ("stable_rank", 8.0, 2.0),
        ("relative_rank", 0.3, 0.1),
        ("num_spikes", 3.0, 0.0),
        ("trap_energy", 0.05, 0.5),
    ],
)
def test_worse_in_a_fault_is_a_worse_score(fault, mild, severe):
    """Each fault alone raises the score, and more of it raises it more."""
    healthy, some, more = (
        SCORE(analysis_of()),
        SCORE(analysis_of(**{fault: mild})),
        SCORE(analysis_of(**{fault: severe})),
    )
    assert healthy < some < more < SCORE.maximum


def test_a_rank_a_little_below_that_of_noise_is_no_fault():
    """Every layer that learned something has fewer directions than noise; `narrowing` says how many fewer count."""
    assert SCORE(analysis_of(relative_rank=0.4)) == SCORE(analysis_of())
    assert SCORE(analysis_of(relative_rank=0.39)) > SCORE(analysis_of())
    assert wwopt.AlphaScore(narrowing=1.0)(analysis_of(relative_rank=0.1)) == SCORE(analysis_of())


def test_terms_add_up_and_are_json():
    """The terms of `explain` sum to the score, layer by layer too, and are plain numbers."""
    analysis = analysis_of(alpha=[2.5, 7.0, 1.5], trap_energy=[0.0, 0.1, 0.3])
    explanation = json.loads(json.dumps(SCORE.explain(analysis)))
    assert explanation["score"] == pytest.approx(SCORE(analysis))
    assert sum(explanation["terms"].values()) == pytest.approx(explanation["score"])
    by_layer = [sum(terms.values()) for terms in explanation["layers"].values()]
    assert np.mean(by_layer) == pytest.approx(explanation["score"])
    assert list(explanation["layers"]) == ["layer0", "layer1", "layer2"]


def test_nothing_finite_is_the_maximum():
    """A network with one layer that is not finite has diverged, however healthy the others are."""
    assert SCORE(analysis_of(status=["success"] * 9 + ["non-finite"])) == SCORE.maximum


def test_no_layer_is_no_score():
    """What was not measured is neither good nor bad: there is no number, but the reason and the way out."""
    with pytest.raises(ValueError, match=r"No layer was measured: fc: 3 eigenvalues.*Lower `min_evals` to 3"):
        SCORE(wwopt.analyze({"fc.weight": np.eye(3)}))


@pytest.mark.parametrize("status", ["degenerate", "failed"])
def test_a_dead_layer_costs_the_most(status):
    """A layer without a fit gets the most that a layer can get, and the network the mean."""
    healthy = SCORE(analysis_of())
    assert SCORE(analysis_of(status=["success", status])) == pytest.approx((healthy + SCORE.maximum) / 2)


def test_an_alpha_is_under_trained_by_its_own_estimator():
    """An alpha of 3.5 is within the range of `mle` and above that of `hill`."""
    analysis = analysis_of(alpha=3.5)
    by_hill = wwopt.Analysis(analysis.details, {}, analysis.skipped, {"estimator": "hill"})
    assert SCORE.explain(analysis)["terms"]["undertrained"] == 0 < SCORE.explain(by_hill)["terms"]["undertrained"]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(
        ["noise", "zeros", "constant", "rank one", "heavy", "nan", "inf", "tiny", "huge", "orthogonal"]
    ),
    seed=st.integers(0, 10**6),
)
def test_every_network_has_a_finite_score(kind, seed):
    """Whatever the weights, the score is finite and at most its maximum."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(70, 60))
    weights = {
        "noise": noise,
        "zeros": np.zeros((70, 60)),
        "constant": np.full((70, 60), rng.normal()),
        "rank one": np.outer(rng.normal(size=70), rng.normal(size=60)),
        "heavy": rng.standard_t(1.1, size=(70, 60)),
        "nan": np.where(noise > 2, np.nan, noise),
        "inf": np.where(noise > 2, np.inf, noise),
        "tiny": noise * 1e-160,
        "huge": noise * 1e160,
        "orthogonal": np.linalg.qr(noise)[0],
    }[kind]
    score = SCORE(wwopt.analyze({"layer.weight": weights}))
    assert 0 <= score <= SCORE.maximum


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_rescaling_changes_nothing(factor, seed):
    """Multiplying the weights by a number leaves the score as it is."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(90, 64)) + 3 * np.outer(rng.normal(size=90), rng.normal(size=64)) / 8
    assert SCORE(wwopt.analyze({"a": weights * factor})) == pytest.approx(
        SCORE(wwopt.analyze({"a": weights})), abs=1e-6
    )


def test_broken_networks_lose_to_trained_ones():
    """Noise, a constant, stray elements and rank one all score worse than a heavy-tailed layer of full rank."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(128, 128))
    left, _, right = np.linalg.svd(noise)
    trained = left * (1 + np.arange(128)) ** -0.5 @ right
    stray = noise.copy()
    stray[rng.integers(0, 128, 30), rng.integers(0, 128, 30)] += 60
    broken = {"noise": noise, "constant": np.ones((128, 128)), "stray": stray, "rank one": np.outer(noise[0], noise[1])}
    best = SCORE(wwopt.analyze({"a": trained}))
    assert all(SCORE(wwopt.analyze({"a": weights})) > best + 1 for weights in broken.values())


def test_parameters_are_checked():
    """A weight must be a finite number of 0 or more, and the target an exponent."""
    with pytest.raises(ValueError, match="`rank` must be a finite number, 0 or more, got -1"):
        wwopt.AlphaScore(rank=-1)
    with pytest.raises(ValueError, match="`noise` must be a finite number"):
        wwopt.AlphaScore(noise=float("nan"))
    with pytest.raises(ValueError, match="`target` must be at least 1"):
        wwopt.AlphaScore(target=0.5)


def test_settings_tell_scores_apart():
    """What a study keeps of a score differs when a parameter does, and survives JSON."""
    assert json.loads(json.dumps(SCORE.settings())) == SCORE.settings()
    assert SCORE.settings() != wwopt.AlphaScore(rank=10).settings()


def test_a_score_is_a_score():
    """`AlphaScore` has all that the protocol asks for."""
    assert isinstance(SCORE, wwopt.Score)
    assert SCORE.direction == "minimize"


def test_alpha_counts_less_where_less_is_fitted():
    """Of two layers with the same exponent, the one whose tail is shorter is blamed less for it."""
    assert SCORE(analysis_of(alpha=5.0, num_pl_spikes=4.0)) < SCORE(analysis_of(alpha=5.0, num_pl_spikes=400.0))


def test_the_worst_layer_or_a_quantile_can_speak_for_the_network():
    """One broken layer of ten moves the mean by a tenth, the worst layer by all of it, the median not at all."""
    analysis = analysis_of(stable_rank=[2.0, *[20.0] * 9])
    fault = SCORE(analysis_of(stable_rank=2.0)) - SCORE(analysis_of())
    healthy = SCORE(analysis_of())
    assert SCORE(analysis) == pytest.approx(healthy + fault / 10)
    assert wwopt.AlphaScore(aggregate="worst")(analysis) == pytest.approx(healthy + fault)
    assert wwopt.AlphaScore(aggregate=0.5)(analysis) == pytest.approx(healthy)
    for wrong in ("median", 0.0, 1.5):
        with pytest.raises(ValueError, match="`aggregate` must be"):
            wwopt.AlphaScore(aggregate=wrong)


def test_the_literal_rule_warns_and_is_what_it_says():
    """`mean_alpha` orders networks by their mean alpha, and says what is wrong with that."""
    with pytest.warns(UserWarning, match="often that of a network that collapsed"):
        literal = wwopt.AlphaScore.mean_alpha()
    alphas = analysis_of(alpha=[1.5, 4.5], num_pl_spikes=1e12)
    assert literal(alphas) == pytest.approx(2.0, rel=1e-5)


def test_presets_differ_in_their_target():
    """Language models have their ideal between 3 and 4, vision networks at 2, which is the default."""
    alpha = analysis_of(alpha=3.5)
    assert wwopt.AlphaScore.vision() == SCORE
    assert wwopt.AlphaScore.language()(alpha) < SCORE(alpha)


def test_rewards_are_the_negative_faults_of_each_layer():
    """A broken layer is rewarded least, a healthy one with about nothing."""
    rewards = SCORE.rewards(analysis_of(stable_rank=[2.0, 20.0]))
    assert rewards["layer0"] < -3 < -0.2 < rewards["layer1"] <= 0
