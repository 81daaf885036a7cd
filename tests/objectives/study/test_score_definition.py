"""A study and the one definition of its score."""

import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.support.studies import run
from wwopt_objectives import AlphaObjective, AlphaScore


def test_another_score_on_the_same_study_is_refused(network, tmp_path):
    """A study keeps its score; resuming with another raises and keeps the finished trials."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    run(lambda _: network(), n_trials=2, study=optuna.create_study(study_name="s", storage=url, direction="minimize"))
    again = optuna.load_study(study_name="s", storage=url)
    objective = AlphaObjective(lambda _: network(), score=AlphaScore(rank=1.0), artifact_store=False)
    with pytest.raises(ValueError, match=r"was begun with the score .* Use the same score"):
        again.optimize(objective, n_trials=1)
    assert len(again.get_trials(states=(TrialState.COMPLETE,))) == 2
    run(lambda _: network(), study=again)
    assert len(again.get_trials(states=(TrialState.COMPLETE,))) == 3


def test_a_maximizing_study_is_refused(network):
    """Lower is better; a study that maximises is an error before anything is trained."""
    study = optuna.create_study(direction="maximize")
    with pytest.raises(ValueError, match='direction="minimize"'):
        study.optimize(AlphaObjective(lambda _: network(), artifact_store=False), n_trials=1)


def test_with_loss_needs_two_directions(network):
    """The error says how the study must be created."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ValueError, match=r"create the study with `directions=\['minimize', 'minimize'\]`"):
        study.optimize(AlphaObjective(lambda _: (network(), 0.1), with_loss=True), n_trials=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "hill"}, r"begun with `estimator='mle'`, and this objective has `estimator='hill'`"),
        ({"min_evals": 10}, r"begun with `min_evals=50`, and this objective has `min_evals=10`"),
        ({"include": ["layer*"]}, r"begun with `include=None`, and this objective has `include=\['layer\*'\]`"),
        ({"max_evals": 64, "zero_tol": 0.1}, r"has `max_evals=64, zero_tol=0.1`"),
        ({"precision": "single", "randomize": False}, r"has `randomize=False, precision='single'`"),
    ],
)
def test_other_options_on_the_same_study_are_refused(network, storage, options, words):
    """Options that change numbers belong to the definition; the finished trials stay, and the same options go on."""
    study = run(lambda _: network(), storage=storage)
    other = AlphaObjective(lambda _: network(), artifact_store=False, analyze_options=options)
    with pytest.raises(ValueError, match=words):
        study.optimize(other, n_trials=1)
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 1
    run(lambda _: network(), study=study)
    assert len(study.get_trials(states=(TrialState.COMPLETE,))) == 2


def test_options_that_change_no_number_are_free(network, tmp_path):
    """A cache, a progress bar and an interval for alpha may come and go."""
    study = run(lambda _: network())
    run(lambda _: network(), study=study, analyze_options={"cache": tmp_path, "confidence": 0.9, "progress": False})
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert study.trials[0].value == study.trials[1].value


def test_a_study_keeps_the_limit_it_was_given(network):
    """An objective that gives no ``min_evals`` takes the study's, so that all trials have the same."""
    study = run(lambda _: network(size=30), analyze_options={"min_evals": 20})
    run(lambda _: network(size=30), study=study)
    assert study.trials[0].value == study.trials[1].value < AlphaScore().maximum


def test_another_base_is_refused(network, tmp_path):
    """Differences to two bases are two definitions; a base may be a file."""
    for name in ("a", "b"):
        torch.save(network(seed=ord(name)), tmp_path / f"{name}.pt")
    study = run(lambda _: network(), analyze_options={"base": tmp_path / "a.pt"})
    other = AlphaObjective(lambda _: network(), artifact_store=False, analyze_options={"base": tmp_path / "b.pt"})
    with pytest.raises(ValueError, match=r"begun with `base='.*a\.pt'`, and this objective has `base='.*b\.pt'`"):
        study.optimize(other, n_trials=1)


def test_a_study_without_options_gets_them_at_its_next_trial(network):
    """Version 0.1 kept the score alone: such a study goes on, and from then on has one set of options."""
    study = optuna.create_study(direction="minimize")
    study.set_user_attr("ww_score", AlphaScore().settings())
    run(lambda _: network(), study=study, analyze_options={"estimator": "hill"})
    assert study.user_attrs["ww_score"]["analyze_options"]["estimator"] == "hill"
    with pytest.raises(ValueError, match="estimator='hill'"):
        study.optimize(AlphaObjective(lambda _: network(), artifact_store=False), n_trials=1)


def test_an_option_out_of_range_is_an_error_before_the_training(network):
    """Nothing is trained for an analysis that cannot be made."""
    trained = []
    objective = AlphaObjective(trained.append, artifact_store=False, analyze_options={"min_evals": 1})
    with pytest.raises(ValueError, match="`min_evals` must be at least 2, got 1"):
        optuna.create_study(direction="minimize").optimize(objective, n_trials=1)
    assert not trained
