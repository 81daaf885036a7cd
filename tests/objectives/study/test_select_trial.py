"""`select` on studies with training losses."""

import pytest

from tests.support.studies import run
from wwopt_objectives import select


@pytest.mark.parametrize(("loss_weight", "chosen"), [(0.0, 0), (0.25, 0), (0.5, 1), (1.0, 2)])
def test_select_mixes_ranks(network, loss_weight, chosen):
    """From the best score to the smallest loss, as the weight of the loss grows."""
    decays, losses = [0.35, 0.4, 0.9, 1.0], [0.4, 0.2, 0.1, 0.3]
    study = run(lambda trial: (network(decays[trial.number]), losses[trial.number]), n_trials=4)
    scores = [trial.value for trial in study.trials]
    assert scores == sorted(scores)
    assert select(study, loss_weight=loss_weight).number == chosen


def test_select_says_what_is_missing(network):
    """Without a training loss there is nothing to mix, and a weight has its range."""
    study = run(lambda _: network())
    with pytest.raises(ValueError, match=r"No trial .* with a training loss"):
        select(study)
    with pytest.raises(ValueError, match="`loss_weight` must be between 0 and 1, got 2"):
        select(study, loss_weight=2)
