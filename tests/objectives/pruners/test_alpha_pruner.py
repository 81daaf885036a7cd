"""`AlphaPruner`: Optuna's scenarios on real trials, and its own rules."""

import math

import optuna
import pytest
from optuna.trial import TrialState

from wwopt_objectives import AlphaPruner
from wwopt_objectives.study.attributes import STATE

HEALTHY = {"unusable": 0.0, "stable_rank": 10.0, "trap_energy": 0.0}


def trial_with(study, levels, n_steps=20, **state):
    """A running trial that was evaluated with these (step, score) pairs."""
    trial = study.ask()
    trial.set_user_attr(STATE, {"levels": levels, "n_steps": n_steps, **HEALTHY, **state})
    trial.report(levels[-1][1], levels[-1][0])
    return trial


def pruned(pruner, levels, n_steps=20, **state):
    """Whether the first trial of a study is pruned after these evaluations."""
    study = optuna.create_study(direction="minimize", pruner=pruner)
    decision = trial_with(study, levels, n_steps, **state).should_prune()
    assert isinstance(decision, bool)
    return decision


def test_without_an_evaluation_nothing_is_pruned():
    """A trial that was never analysed is left alone, whatever it reports."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    for value in (0.5, math.inf, -math.inf, math.nan):
        trial = study.ask()
        trial.report(value, 10)
        assert trial.should_prune() is False


@pytest.mark.parametrize("fault", [{"unusable": 0.5}, {"stable_rank": 1.2}, {"trap_energy": 0.3}])
def test_the_broken_are_pruned_at_the_first_evaluation(fault):
    """Collapse and divergence need no warm-up and no earlier trial."""
    assert pruned(AlphaPruner(), [[0, 3.0]], **fault)


def finished(study, *trajectories, n_steps=20):
    """Trials of a study that ran to their end, evaluated with these (step, score) pairs."""
    for levels in trajectories:
        trial = trial_with(study, levels, n_steps)
        study.tell(trial, levels[-1][1])


FALLS = [[[4, 3.0], [9, 2.5], [19, 2.0]], [[4, 3.5], [9, 3.2], [19, 3.0]], [[4, 5.0], [9, 4.5], [19, 4.0]]]


def against_the_finished(pruner, levels, n_steps=20, **state):
    """Whether a trial with these evaluations is pruned once three trials have fallen from 2.5, 3.2, 4.5 to 2, 3, 4."""
    study = optuna.create_study(direction="minimize", pruner=pruner)
    finished(study, *FALLS, n_steps=n_steps)
    return trial_with(study, levels, n_steps, **state).should_prune()


def test_what_cannot_become_the_best_is_pruned():
    """Half way the finished trials fell by 0.5 at most: below 2.5 and the margin, 0.25, a trial may go on."""
    assert not against_the_finished(AlphaPruner(), [[9, 2.55]])
    assert against_the_finished(AlphaPruner(), [[9, 2.8]])
    assert not against_the_finished(AlphaPruner(margin=1.0), [[9, 3.4]])
    assert against_the_finished(AlphaPruner(margin=0.0), [[9, 2.55]])


def test_a_late_faller_is_given_time():
    """A trial that falls faster than any before it may go on; one that rises gets nothing for it."""
    assert not against_the_finished(AlphaPruner(), [[7, 4.2], [9, 3.4]])
    assert against_the_finished(AlphaPruner(), [[7, 2.6], [9, 3.4]])


def test_what_may_still_fall_is_learned_at_the_same_step():
    """Early in training the others fell further, so that more is forgiven."""
    assert not against_the_finished(AlphaPruner(), [[4, 3.0]])
    assert against_the_finished(AlphaPruner(), [[9, 3.0]])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_level_has_no_scale_of_its_own(scale):
    """Any score may be judged: multiplying all of them changes no decision."""
    for level, decision in ((2.7, False), (2.8, True)):
        study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
        finished(study, *[[[step, scale * score] for step, score in levels] for levels in FALLS])
        assert trial_with(study, [[9, scale * level]]).should_prune() is decision


def test_level_counts_after_the_warm_up_only():
    """A high score is normal early in training; from a quarter of the steps on it may be a reason."""
    assert not against_the_finished(AlphaPruner(n_warmup_steps=12), [[11, 9.0]])
    assert against_the_finished(AlphaPruner(n_warmup_steps=12), [[12, 9.0]])
    assert not against_the_finished(AlphaPruner(), [[4, 9.0]], n_steps=24)
    assert against_the_finished(AlphaPruner(), [[5, 9.0]], n_steps=24)


def test_level_needs_finished_trials_to_compare_with():
    """Fewer than `n_min_trials` that were still training at this step say nothing; neither do shorter ones."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    finished(study, *FALLS[:2])
    assert trial_with(study, [[9, 9.0]]).should_prune() is False
    finished(study, [[4, 1.0], [8, 1.0]])
    assert trial_with(study, [[9, 9.0]]).should_prune() is False
    finished(study, FALLS[2])
    assert trial_with(study, [[9, 9.0]]).should_prune() is True


def test_at_the_last_step_there_is_nothing_to_save():
    """A training that has come to its end is left to finish, so that later trials can learn from it."""
    assert against_the_finished(AlphaPruner(), [[18, 9.0]])
    assert not against_the_finished(AlphaPruner(), [[19, 9.0]])


def test_without_the_number_of_steps_the_finished_trials_tell_it():
    """Where ``n_steps`` is not known, the longest finished training stands for it."""
    assert against_the_finished(AlphaPruner(), [[9, 9.0]], n_steps=None)
    assert not against_the_finished(AlphaPruner(), [[9, 2.55]], n_steps=None)
    assert not against_the_finished(AlphaPruner(), [[19, 9.0]], n_steps=None)


def test_an_infeasible_trial_is_no_bar():
    """A broken network with a low score is not what others must come below."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    finished(study, *FALLS)
    cheat = trial_with(study, [[4, 0.2], [9, 0.1], [19, 0.1]])
    cheat.set_constraint("ww_collapsed", 1.0)
    study.tell(cheat, 0.1)
    assert trial_with(study, [[9, 2.55]]).should_prune() is False


LOSSES = [[0.9, 0.6, 0.5], [0.8, 0.4, 0.35], [0.7, 0.3, 0.25]]  # with `FALLS`: the worst score has the best


@pytest.mark.parametrize(
    ("score", "loss", "decision"),
    [
        (9.0, 0.2, False),  # the score is hopeless, the loss may become the best
        (2.4, 0.9, False),  # the loss is hopeless, the score may become the best
        (2.9, 0.75, False),  # short of the best score and of the loss that came with it, but not of the median score
        (4.0, 0.75, True),
        (4.0, 0.6, False),  # less the 0.1 that another lost, such a loss is as good as that of the best score
    ],
)
def test_with_two_directions_only_what_is_hopeless_in_both_is_pruned(score, loss, decision):
    """What can still be better than each finished trial in one of the two may belong to the Pareto front."""
    pruner = AlphaPruner()
    study = two_objectives(pruner, LOSSES)
    study.ask().set_user_attr(STATE, {"levels": [[9, score]], "losses": [loss], "n_steps": 20, **HEALTHY})
    reason = pruner.reason(study, study.trials[-1])
    assert (reason is not None) is decision
    if decision:
        assert f"(score {score:.3g}, loss {loss:.3g} at step 9)" in reason
        assert "and a loss of" in reason


def test_with_two_directions_collapse_is_pruned():
    """It needs no comparison, and no loss."""
    pruner = AlphaPruner()
    study = two_objectives(pruner, LOSSES)
    study.ask().set_user_attr(STATE, {"levels": [[0, 1.0]], "n_steps": 20, **HEALTHY, "stable_rank": 1.0})
    assert pruner.reason(study, study.trials[-1]).startswith("collapsed")


def test_losses_are_compared_with_those_that_are_known():
    """Version 0.1 kept no losses in ``ww_state``: such a study goes on, and prunes once enough new trials finished."""
    pruner = AlphaPruner()
    hopeless = {"levels": [[9, 9.0]], "losses": [9.0], "n_steps": 20, **HEALTHY}
    for losses, decision in (([None] * 3, False), ([*LOSSES[:2], None], False), ([None, *LOSSES], True)):
        study = two_objectives(pruner, losses)
        study.ask().set_user_attr(STATE, hopeless)
        assert pruner.prune(study, study.trials[-1]) is decision


def two_objectives(pruner, losses):
    """A study of score and loss with a finished trial for each curve of losses; None: version 0.1 kept no losses."""
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=pruner)
    for levels, curve in zip([FALLS[0], *FALLS][-len(losses) :], losses, strict=True):
        trial = study.ask()
        kept = {} if curve is None else {"losses": curve}
        trial.set_user_attr(STATE, {"levels": levels, **kept, "n_steps": 20, **HEALTHY})
        study.tell(trial, [levels[-1][1], 0.1 if curve is None else curve[-1]])
    return study


def test_interval():
    """Between two decisions lie at least `interval_steps` steps, counted from the warm-up."""
    pruner = AlphaPruner(n_warmup_steps=4, interval_steps=4)
    assert against_the_finished(pruner, [[2, 9.0], [4, 9.0]])
    assert not against_the_finished(pruner, [[4, 9.0], [6, 9.0]])
    assert against_the_finished(pruner, [[6, 9.0], [8, 9.0]])


def test_startup_trials():
    """The first `n_startup_trials` are not pruned."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner(n_startup_trials=1))
    first = trial_with(study, [[0, 9.0]], stable_rank=1.0)
    assert first.should_prune() is False
    study.tell(first, 9.0)
    assert trial_with(study, [[0, 9.0]], stable_rank=1.0).should_prune() is True


def test_another_pruner_is_asked_too():
    """A wrapped pruner decides where alpha sees no reason, and is named as the reason."""
    pruner = AlphaPruner(wrapped_pruner=optuna.pruners.ThresholdPruner(upper=2.0))
    study = optuna.create_study(direction="minimize", pruner=pruner)
    trial = trial_with(study, [[0, 3.0]])
    assert trial.should_prune() is True
    assert pruner.reason(study, study.trials[0]) == "ThresholdPruner"
    assert pruned(AlphaPruner(wrapped_pruner=optuna.pruners.NopPruner()), [[7, 9.0]], stable_rank=1.0)


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
        pruner = AlphaPruner(wrapped_pruner=optuna.pruners.HyperbandPruner(max_resource=20))
    assert pruned(pruner, [[0, 9.0]], stable_rank=1.0)


def test_on_the_study_of_a_bracket():
    """Hyperband's pruners see a study without `user_attrs` and `best_trial`; nothing that is missing is asked for."""
    hyperband = optuna.pruners.HyperbandPruner(max_resource=20)
    study = optuna.create_study(direction="minimize", pruner=hyperband)
    trial_with(study, [[0, 9.0]]).should_prune()  # makes the brackets
    finished(study, *FALLS)
    bracket = hyperband._create_bracket_study(study, 0)
    trial_with(study, [[9, 9.0]])
    assert isinstance(AlphaPruner(n_min_trials=1).prune(bracket, study.trials[-1]), bool)
    trial_with(study, [[0, 9.0]], stable_rank=1.0)
    assert AlphaPruner().prune(bracket, study.trials[-1]) is True


def test_the_trial_is_not_touched():
    """`prune` leaves the frozen trial as it is."""
    study = optuna.create_study(direction="minimize", pruner=AlphaPruner())
    trial_with(study, [[7, 9.0]], stable_rank=1.0)
    frozen = study.trials[0]
    before = dict(frozen.user_attrs), dict(frozen.system_attrs)
    assert study.pruner.prune(study, frozen) is True
    assert (frozen.user_attrs, frozen.system_attrs) == before


def test_a_loaded_study_gets_the_pruner_again(tmp_path):
    """The pruner is not stored with the study; given again it works on what the trials hold."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s", storage=url, direction="minimize", pruner=AlphaPruner())
    trial_with(study, [[7, 9.0]], stable_rank=1.0)
    loaded = optuna.load_study(study_name="s", storage=url, pruner=AlphaPruner())
    assert loaded.pruner.prune(loaded, loaded.trials[0]) is True
    assert loaded.trials[0].state == TrialState.RUNNING


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_startup_trials": -1}, "`n_startup_trials` must be 0 or more, got -1"),
        ({"n_warmup_steps": -2}, '`n_warmup_steps` must be "auto" or 0 or more, got -2'),
        ({"interval_steps": 0}, "`interval_steps` must be at least 1, got 0"),
        ({"n_min_trials": 0}, "`n_min_trials` must be at least 1, got 0"),
        ({"margin": math.nan}, "`margin` must be a finite number, 0 or more, got nan"),
    ],
)
def test_arguments_are_checked(options, message):
    """Each argument's rule is said with what was given."""
    with pytest.raises(ValueError, match=message):
        AlphaPruner(**options)


def test_something_else_than_a_pruner_cannot_be_wrapped():
    """A class in the place of an instance is named."""
    with pytest.raises(TypeError, match="`wrapped_pruner` must be an Optuna pruner, got ABCMeta"):
        AlphaPruner(wrapped_pruner=optuna.pruners.MedianPruner)
