"""`AlphaPruner`: Optuna's scenarios on real trials, and its own rules."""

import math

import optuna
import pytest
from optuna.trial import TrialState

import wwopt
from wwopt_objectives import AlphaPruner
from wwopt_objectives.pruner import STATE, observe


def trial_with(study, levels, n_steps=20, **state):
    """A running trial that was looked at with these (step, score) pairs."""
    trial = study.ask()
    healthy = {"unusable": 0.0, "stable_rank": 10.0, "trap_energy": 0.0}
    trial.set_user_attr(STATE, {"levels": levels, "n_steps": n_steps, **healthy, **state})
    trial.report(levels[-1][1], levels[-1][0])
    return trial


def pruned(pruner, levels, n_steps=20, **state):
    """Whether the first trial of a study is pruned after these looks."""
    study = optuna.create_study(direction="minimize", pruner=pruner)
    decision = trial_with(study, levels, n_steps, **state).should_prune()
    assert isinstance(decision, bool)
    return decision


def test_without_a_look_nothing_is_pruned():
    """A trial that nobody analysed is left alone, whatever it reports."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    for value in (0.5, math.inf, -math.inf, math.nan):
        trial = study.ask()
        trial.report(value, 10)
        assert trial.should_prune() is False


@pytest.mark.parametrize("fault", [{"unusable": 0.5}, {"stable_rank": 1.2}, {"trap_energy": 0.3}])
def test_the_broken_are_pruned_at_the_first_look(fault):
    """Collapse and divergence need no warm-up and no earlier trial."""
    assert pruned(AlphaPruner(), [[0, 3.0]], **fault)


def test_level_counts_after_the_warm_up_only():
    """A high score is normal early in training; from 40% of the steps on it is a reason."""
    assert not pruned(AlphaPruner(), [[6, 9.0]])
    assert pruned(AlphaPruner(), [[7, 9.0]])
    assert not pruned(AlphaPruner(n_warmup_steps=12), [[11, 9.0]])
    assert pruned(AlphaPruner(n_warmup_steps=12), [[12, 9.0]])


def test_a_falling_score_is_given_time():
    """A score that will be low enough at the end by its present fall is no reason."""
    assert not pruned(AlphaPruner(), [[5, 9.0], [9, 7.5]])
    assert pruned(AlphaPruner(), [[5, 8.0], [9, 7.9]])
    assert pruned(AlphaPruner(), [[5, 6.0], [9, 7.0]])


def test_the_best_finished_trial_sets_the_bar():
    """Without a finished trial `max_score` decides; with one, its score and `margin` do too."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner(max_score=6.0, margin=1.5))
    assert trial_with(study, [[9, 4.0]]).should_prune() is False
    best = trial_with(study, [[19, 2.0]])
    study.tell(best, 2.0)
    assert trial_with(study, [[9, 4.0]]).should_prune() is True
    assert trial_with(study, [[9, 3.4]]).should_prune() is False


def test_without_the_number_of_steps_level_does_not_count():
    """ "auto" needs to know how far a training has come; a number of steps does not."""
    assert not pruned(AlphaPruner(), [[100, 9.0]], n_steps=None)
    assert pruned(AlphaPruner(n_warmup_steps=5), [[100, 9.0]], n_steps=None)


def test_interval():
    """Between two decisions lie at least `interval_steps` steps, counted from the warm-up."""
    pruner = AlphaPruner(n_warmup_steps=4, interval_steps=4)
    assert pruned(pruner, [[2, 9.0], [4, 9.0]])
    assert not pruned(pruner, [[4, 9.0], [6, 9.0]])
    assert pruned(pruner, [[6, 9.0], [8, 9.0]])


def test_startup_trials():
    """The first `n_startup_trials` are not pruned."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner(n_startup_trials=1))
    first = trial_with(study, [[0, 9.0]], stable_rank=1.0)
    assert first.should_prune() is False
    study.tell(first, 9.0)
    assert trial_with(study, [[0, 9.0]], stable_rank=1.0).should_prune() is True


def test_another_pruner_is_asked_too():
    """A wrapped pruner decides where alpha sees no reason, and is named as the reason."""
    pruner = AlphaPruner(wrapped=optuna.pruners.ThresholdPruner(upper=2.0))
    study = optuna.create_study(direction="minimize", pruner=pruner)
    trial = trial_with(study, [[0, 3.0]])
    assert trial.should_prune() is True
    assert pruner.reason(study, study.trials[0]) == "ThresholdPruner"
    assert pruned(AlphaPruner(wrapped=optuna.pruners.NopPruner()), [[7, 9.0]])


@pytest.mark.filterwarnings("ignore:PatientPruner is experimental")  # Optuna's own note
def test_inside_another_pruner():
    """Wrapped by PatientPruner it is asked once the trial stagnates."""
    study = optuna.create_study(direction="minimize", pruner=optuna.pruners.PatientPruner(AlphaPruner(), patience=1))
    trial = study.ask()
    for step in range(4):
        trial.set_user_attr(
            STATE, {"levels": [[step, 9.0]], "n_steps": 4, "unusable": 0, "stable_rank": 1.0, "trap_energy": 0}
        )
        trial.report(9.0 + step, step)
    assert trial.should_prune() is True


def test_with_hyperband_brackets():
    """A bracket's study has no `user_attrs`, and the pruner does not ask for them; wrapping Hyperband is warned of."""
    with pytest.warns(UserWarning, match="filter"):
        pruner = AlphaPruner(wrapped=optuna.pruners.HyperbandPruner(max_resource=20))
    assert pruned(pruner, [[0, 9.0]], stable_rank=1.0)


def test_the_trial_is_not_touched():
    """`prune` leaves the frozen trial as it is."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    trial_with(study, [[7, 9.0]])
    frozen = study.trials[0]
    before = dict(frozen.user_attrs), dict(frozen.system_attrs)
    assert study.pruner.prune(study, frozen) is True
    assert (frozen.user_attrs, frozen.system_attrs) == before


def test_a_loaded_study_gets_the_pruner_again(tmp_path):
    """The pruner is not stored with the study; given again it works on what the trials hold."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s", storage=url, direction="minimize", pruner=AlphaPruner())
    trial_with(study, [[7, 9.0]])
    loaded = optuna.load_study(study_name="s", storage=url, pruner=AlphaPruner())
    assert loaded.pruner.prune(loaded, loaded.trials[0]) is True
    assert loaded.trials[0].state == TrialState.RUNNING


def test_what_the_objective_leaves_is_what_the_pruner_reads(network):
    """`observe` keeps the last looks, few enough for any storage."""
    state = None
    for step in range(30):
        state = observe(state, wwopt.analyze(network(0.4)), step, 30)
    assert [step for step, _ in state["levels"]] == list(range(24, 30))
    assert not pruned(AlphaPruner(), **state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_startup_trials": -1}, "`n_startup_trials` must be 0 or more, got -1"),
        ({"n_warmup_steps": -2}, '`n_warmup_steps` must be "auto" or 0 or more, got -2'),
        ({"interval_steps": 0}, "`interval_steps` must be at least 1, got 0"),
        ({"max_score": math.nan}, "`max_score` must be a positive number"),
        ({"margin": 0}, "`margin` must be a positive number, got 0"),
    ],
)
def test_arguments_are_checked(options, message):
    """Each argument's rule is said with what was given."""
    with pytest.raises(ValueError, match=message):
        AlphaPruner(**options)
