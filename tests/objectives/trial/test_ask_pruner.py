"""A pruner's decision and reason, asked for once."""

import optuna
import pytest
from optuna.pruners import NopPruner, ThresholdPruner

from wwopt_objectives import CombinedPruner
from wwopt_objectives.trial.ask_pruner import prune_reason


@pytest.mark.parametrize(
    ("pruner", "reason"),
    [
        (NopPruner(), None),
        (ThresholdPruner(upper=0.0), "ThresholdPruner"),
        (CombinedPruner([NopPruner()]), None),
        (CombinedPruner([ThresholdPruner(upper=0.0), NopPruner()]), "ThresholdPruner"),
    ],
)
def test_the_reason_is_the_pruners_own_or_its_name(pruner, reason):
    """Of a pruner that gives no reasons the name is one, where it would prune."""
    study = optuna.create_study()
    study.ask().report(1.0, 0)
    assert prune_reason(pruner, study, study.trials[0]) == reason


def test_with_two_directions_only_reasons_count():
    """Optuna's pruners need reports, which it does not take there."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.ask()
    assert prune_reason(ThresholdPruner(upper=0.0), study, study.trials[0]) is None
