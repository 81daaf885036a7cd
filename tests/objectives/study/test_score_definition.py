"""A study and the one definition of its score."""

import optuna
import pytest
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
