"""The limit of a study, and what happens where no layer reaches it."""

import optuna
import pytest
import torch
from optuna.trial import TrialState

import wwopt
from tests.support.studies import run
from wwopt.engine.layer_limit import choose_min_evals
from wwopt_objectives import AlphaObjective, AlphaScore, apply_constraints
from wwopt_objectives.training.training_callback import TrainingCallback


def perceptron(width, seed=0):
    """A network for digits, as it is before its training."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.Linear(width, width), torch.nn.Linear(width, 10))


def limit_of(study):
    return study.user_attrs["ww_score"]["analyze_options"]["min_evals"]


@pytest.mark.parametrize(
    ("model", "options", "limit"),
    [
        (perceptron(64), {}, 50),
        (perceptron(50), {}, 50),
        (perceptron(48), {}, 16),
        (perceptron(24), {"estimator": "hill"}, 12),
        (torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.Linear(128, 10)), {}, 50),  # half of them
        (perceptron(64), {"include": "2"}, 16),  # the last layer alone
        (perceptron(64), {"exclude": ["2"]}, 50),
        (perceptron(64).state_dict(), {}, 50),
    ],
)
def test_the_limit_suits_at_least_half_of_the_layers(model, options, limit):
    """It is that of `analyze` where half of the layers reach it, else the estimator's smallest."""
    assert choose_min_evals(model, options) == limit


def test_small_networks_are_tuned():
    """A study of networks below the limit of `analyze` has one limit of its own, and finite values below the worst."""
    study = run(lambda trial: perceptron(trial.suggest_int("width", 16, 48), trial.number), n_trials=4)
    assert limit_of(study) == 16
    for trial in study.trials:
        model = perceptron(trial.params["width"], trial.number)
        assert trial.state == TrialState.COMPLETE
        assert trial.value == AlphaScore()(wwopt.analyze(model, min_evals=16)) < AlphaScore().maximum


def test_large_networks_keep_their_values():
    """Where half of the layers reach the limit of `analyze`, nothing changes."""
    study = run(lambda _: perceptron(64))
    assert limit_of(study) == 50
    assert study.trials[0].value == AlphaScore()(wwopt.analyze(perceptron(64)))


def test_the_limit_stays_for_the_whole_study():
    """Of large networks after small ones the same layers count as in the first, also when the study is resumed."""
    widths = [30, 128, 64]
    study = run(lambda trial: perceptron(widths[trial.number]), n_trials=2)
    run(lambda trial: perceptron(widths[trial.number]), study=study)
    values = [AlphaScore()(wwopt.analyze(perceptron(width), min_evals=16)) for width in widths]
    assert [trial.value for trial in study.trials] == values


def test_a_study_of_an_earlier_version_keeps_the_limit_of_its_trials():
    """Its trials were analysed with the limit of `analyze`, whatever suits the next network."""
    study = optuna.create_study(direction="minimize")
    study.set_user_attr("ww_score", AlphaScore().settings())
    model = torch.nn.Sequential(perceptron(30), torch.nn.Linear(64, 64))
    assert choose_min_evals(model, {}) == 16
    run(lambda _: model, study=study)
    assert limit_of(study) == 50


def test_a_study_that_measures_nothing_ends_with_the_reason():
    """The first evaluation raises, says what is too small and what to do, and fixes nothing; the advice works."""
    study = optuna.create_study(direction="minimize")
    objective = AlphaObjective(lambda _: perceptron(12), artifact_store=False)
    with pytest.raises(ValueError, match=r"No layer was measured: .*12 eigenvalues.* Lower `min_evals` to 12 or less"):
        study.optimize(objective, n_trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert min(study.trials[0].constraints.values()) > 0
    run(lambda _: perceptron(12), study=study, analyze_options={"min_evals": 12})
    assert study.trials[1].state == TrialState.COMPLETE


@pytest.mark.parametrize("model", [torch.nn.Linear(64, 64, device="meta"), torch.nn.LazyLinear(64)])
def test_what_holds_no_values_is_named(model):
    """A model on the meta device, or one that has no shapes yet, has not collapsed."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ValueError, match=r"meta device|not initialised"):
        study.optimize(AlphaObjective(lambda _: model, artifact_store=False), n_trials=1)


@pytest.mark.parametrize("options", [{}, {"pruner": optuna.pruners.NopPruner(), "every": 3}])
def test_one_network_that_is_too_small_costs_one_trial(options):
    """After a first trial that was measured such a trial is pruned as not measured, and the study goes on."""
    widths = [64, 16, 64]
    study = run(lambda trial: iter([perceptron(widths[trial.number])] * 2), n_trials=3, **options)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert study.trials[1].user_attrs["ww_pruned_by"].startswith("not measured: ")
    assert "16 eigenvalues, fewer than min_evals=50" in study.trials[1].user_attrs["ww_pruned_by"]
    assert min(study.trials[1].constraints.values()) > 0


def test_threads_share_one_limit():
    """Trials that begin at the same time have the limit that one of them fixed."""
    study = optuna.create_study(direction="minimize")
    models = perceptron(24), perceptron(128)  # made here, since the threads share one random generator
    objective = AlphaObjective(lambda trial: models[trial.number % 2], artifact_store=False)
    study.optimize(objective, n_trials=8, n_jobs=4, catch=(ValueError,))
    limit = limit_of(study)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert complete
    for trial in complete:
        assert trial.value == AlphaScore()(wwopt.analyze(models[trial.number % 2], min_evals=limit))


def test_constraints_of_an_analysis_that_measured_nothing():
    """They would say that the network is broken."""
    trial = optuna.create_study().ask()
    with pytest.raises(ValueError, match=r"No layer was measured: .*Lower `min_evals`"):
        apply_constraints(trial, wwopt.analyze(torch.nn.Linear(12, 12)))
    assert trial.storage.get_trial(trial._trial_id).constraints == {}


def test_callbacks_raise_it_too():
    """With a trial and without, at the end of the first epoch."""
    study = optuna.create_study(direction="minimize")
    for trial in (None, study.ask()):
        callback = TrainingCallback(trial=trial)
        callback.start(perceptron(12), 3)
        with pytest.raises(ValueError, match="No layer was measured"):
            callback.end_epoch(0)


def test_a_callback_uses_the_limit_of_the_study():
    """Small networks are tuned by the callbacks too."""
    study = optuna.create_study(direction="minimize")
    callback = TrainingCallback(trial=study.ask())
    callback.start(perceptron(30), 1)
    callback.end_epoch(0)
    assert callback.result() == AlphaScore()(wwopt.analyze(perceptron(30), min_evals=16))
    assert limit_of(study) == 16


def test_a_callback_whose_trial_is_not_measured_prunes_it():
    """As the objective does, after a first trial that was measured."""
    study = run(lambda _: perceptron(64))
    callback = TrainingCallback(trial=study.ask())
    callback.start(perceptron(16), 3)
    with pytest.raises(optuna.TrialPruned, match="not measured") as pruned:
        callback.end_epoch(0)
    callback.fail(pruned.value)  # as Lightning does
    assert study.trials[1].user_attrs["ww_pruned_by"].startswith("not measured")
