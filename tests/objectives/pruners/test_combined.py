"""Pruners put together, asked by real studies."""

import optuna
import pytest
from optuna.pruners import MedianPruner, NopPruner, ThresholdPruner
from optuna.trial import TrialState

from wwopt_objectives import AlphaObjective, AlphaPruner, CombinedPruner, ConstraintPruner

YES, NO = ThresholdPruner(upper=0.0), NopPruner()


def reported(pruner, value=1.0, **options):
    """A trial that reported a value, and its study."""
    study = optuna.create_study(pruner=pruner, **options)
    trial = study.ask()
    trial.report(value, 0)
    return study, trial


@pytest.mark.parametrize(
    ("pruners", "at_least", "decision"),
    [
        ([YES, NO], 1, True),
        ([NO, NO], 1, False),
        ([YES, NO], "all", False),
        ([YES, YES], "all", True),
        ([YES, NO, YES], 2, True),
        ([YES, NO, NO], 2, False),
    ],
)
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_any_all_and_some(pruners, at_least, decision, direction):
    """The number of pruners that agree decides, in both directions, and the answer is a built-in bool."""
    _, trial = reported(CombinedPruner(pruners, at_least=at_least), direction=direction)
    assert trial.should_prune() is decision


def test_every_pruner_is_asked_every_time():
    """One that counts, such as successive halving, must see each report, though another has decided already."""
    halving = optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
    study, trial = reported(CombinedPruner([YES, halving]))
    trial.report(1.0, 1)
    assert trial.should_prune() is True
    assert any(key.startswith("completed_rung") for key in study.trials[0].system_attrs)


def test_the_reason_names_those_that_agreed():
    """Reasons are put together; a pruner without one is named."""
    study, _ = reported(CombinedPruner([YES, NO, CombinedPruner([YES])]))
    assert study.pruner.reason(study, study.trials[0]) == "ThresholdPruner; ThresholdPruner"
    study, _ = reported(CombinedPruner([NO]))
    assert study.pruner.reason(study, study.trials[0]) is None


def test_the_objective_keeps_the_reason(network):
    """A trial that a combination stopped says why, with one direction and with two."""
    for directions in (["minimize"], ["minimize", "minimize"]):
        pruner = CombinedPruner([MedianPruner(), AlphaPruner()])
        study = optuna.create_study(directions=directions, pruner=pruner)
        objective = AlphaObjective(
            lambda _: iter([(network(6.0), 0.1)]), artifact_store=False, with_loss=len(directions) > 1
        )
        study.optimize(objective, n_trials=1)
        assert study.trials[0].state == TrialState.PRUNED
        assert study.trials[0].user_attrs["ww_pruned_by"].startswith("collapsed: a stable rank of")


def test_a_pruner_is_asked_once_an_evaluation(network):
    """A pruner inside AlphaPruner that counts is not asked again for its reason."""

    class Counting(NopPruner):
        asked = 0

        def prune(self, study, trial):
            self.asked += 1
            return self.asked == 3

    counting = Counting()
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner(wrapped_pruner=counting))
    objective = AlphaObjective(lambda _: iter([network()] * 5), every=1, artifact_store=False)
    study.optimize(objective, n_trials=1)
    assert counting.asked == 3
    assert study.trials[0].user_attrs["ww_pruned_by"] == "Counting"


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "minimize"]])
def test_a_broken_constraint_prunes(network, directions):
    """A constraint that `train` sets and breaks stops the trial at its first evaluation, also with two directions."""

    def train(trial):
        trial.set_constraint("megabytes", [-1.0, 2.5][trial.number])
        for _ in range(3):
            yield network(), 0.1

    study = optuna.create_study(directions=directions, pruner=ConstraintPruner())
    objective = AlphaObjective(train, every=1, artifact_store=False, with_loss=len(directions) > 1)
    study.optimize(objective, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert study.trials[1].user_attrs["ww_pruned_by"] == "infeasible: megabytes is 2.5 above zero"


def test_inherited_constraints_of_ours_do_not_prune():
    """A retried trial still holds its predecessor's until its end."""
    study = optuna.create_study(pruner=ConstraintPruner())
    study.ask().set_constraint("ww_collapsed", 1.0)
    assert study.pruner.prune(study, study.trials[0]) is False


@pytest.mark.parametrize(
    ("pruners", "at_least", "message"),
    [
        ([], 1, "`pruners` must hold at least one pruner, got none"),
        ([NO], 2, '`at_least` must be "all" or from 1 to the number of pruners, 1, got 2'),
        ([NO], 0, "got 0"),
        ([NO], "any", "got 'any'"),
    ],
)
def test_arguments_are_checked(pruners, at_least, message):
    """Each rule is said with what was given."""
    with pytest.raises(ValueError, match=message):
        CombinedPruner(pruners, at_least=at_least)


def test_something_else_than_a_pruner_is_named():
    """A class in the place of an instance is an error at once."""
    with pytest.raises(TypeError, match="`pruners` must be an Optuna pruner, got ABCMeta"):
        CombinedPruner([MedianPruner])


def test_hyperband_inside_is_warned_of():
    """Optuna does not filter by bracket there."""
    with pytest.warns(UserWarning, match="filter"):
        CombinedPruner([optuna.pruners.HyperbandPruner(max_resource=9)])
