"""`AlphaObjective` on real studies and storages."""

import math

import optuna
import pytest
import torch
from optuna.trial import TrialState

import wwopt
from tests.support.studies import run, two_directions
from wwopt_objectives import AlphaObjective, AlphaPruner, AlphaScore, load_best, select
from wwopt_objectives.trial.constraints import CONSTRAINTS


def test_a_returned_model_is_scored(network, storage):
    """The value of a trial is the score of the model that `train` returned, on every storage."""
    study = run(lambda trial: network(trial.suggest_float("decay", 0.3, 0.8)), n_trials=3, storage=storage)
    for trial in study.trials:
        assert trial.value == pytest.approx(AlphaScore()(wwopt.analyze(network(trial.params["decay"]))))
        assert trial.user_attrs["ww_score"]["score"] == pytest.approx(trial.value)
        assert sum(trial.user_attrs["ww_score"]["terms"].values()) == pytest.approx(trial.value)
        assert sorted(trial.constraints) == list(CONSTRAINTS)  # gRPC keeps no order


def test_a_module_and_its_loss(network):
    """A pair of a module and its training loss is taken apart, and the loss is kept."""
    study = run(lambda _: (torch.nn.Linear(64, 64), torch.tensor(0.25)))
    assert study.trials[0].user_attrs["train_loss"] == 0.25


def test_yielded_models_are_reported_and_the_last_counts(network):
    """Each evaluation is reported at its step, and the value is that of the last model, due or not."""

    def train(trial):
        yield from (network(0.3 + 0.05 * epoch) for epoch in range(5))

    trial = run(train, every=2, keep="last").trials[0]
    assert list(trial.intermediate_values) == [1, 3]
    assert trial.user_attrs["ww_step"] == 4
    assert trial.value == pytest.approx(AlphaScore()(wwopt.analyze(network(0.5))))


def test_evaluations_are_spaced_by_what_they_cost(network):
    """A short training is evaluated after half and all of it; one of unknown length after 1, 2, 4, ... steps."""

    def train(trial):
        yield from (network() for _ in range(10))

    assert list(run(train, n_steps=10).trials[0].intermediate_values) == [4, 9]
    assert list(run(train).trials[0].intermediate_values) == [0, 1, 3, 7]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("not finite", "broken: 100% of the network is not finite"), ("collapsed", "collapsed: a stable")],
)
def test_a_broken_network_is_pruned_at_the_first_evaluation(network, diverged, bad, reason):
    """Collapse and divergence are seen at once, the reason is kept, and the trial is infeasible."""
    model = network(6.0) if bad == "collapsed" else diverged
    trained = []

    def train(trial):
        for epoch in range(10):
            trained.append(epoch)
            yield model

    trial = run(train, n_steps=10).trials[0]
    assert trial.state == TrialState.PRUNED
    assert trained == [0]
    assert trial.user_attrs["ww_pruned_by"].startswith(reason)
    assert max(trial.constraints.values()) > 0


def test_the_pruned_training_is_closed(network):
    """A generator that is pruned gets to run its `finally`."""
    closed = []

    def train(trial):
        try:
            while True:
                yield network(6.0)
        finally:
            closed.append(trial.number)

    assert run(train).trials[0].state == TrialState.PRUNED
    assert closed == [0]


def test_a_broken_network_never_wins(network, diverged):
    """Among a healthy, a noise-like, a collapsed and a diverged network the healthy one is chosen."""
    models = [diverged, network(6.0), network(0.5), network(0.0)]
    study = run(lambda trial: models[trial.number], n_trials=4)
    assert study.best_trial.number == 2


def test_a_model_without_layers_large_enough_has_no_value():
    """A network too small to judge is neither good nor bad: its trial fails, and is infeasible."""
    study = run(lambda _: torch.nn.Linear(4, 4))
    assert study.trials[0].state.name == "FAIL"
    assert all(value > 0 for value in study.trials[0].constraints.values())


def test_an_exception_fails_the_trial_and_the_others_stay(network, storage):
    """One training that raises does not cost the finished trials, and is infeasible."""

    def train(trial):
        if trial.number == 1:
            raise RuntimeError("out of memory")
        return network()

    study = run(train, n_trials=3, storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert all(value > 0 for value in study.trials[1].constraints.values())


def test_ask_and_tell(network):
    """The objective is a function of a trial, and ask/tell works as `optimize` does."""
    study = optuna.create_study(direction="minimize")
    objective = AlphaObjective(lambda _: network(), artifact_store=False)
    trial = study.ask()
    study.tell(trial, objective(trial))
    assert study.best_value == pytest.approx(AlphaScore()(wwopt.analyze(network())))


def test_threads_do_not_mix(network):
    """With ``n_jobs`` each trial keeps the score of its own model."""
    study = optuna.create_study(direction="minimize")
    objective = AlphaObjective(lambda trial: network(trial.suggest_float("decay", 0.2, 1)), artifact_store=False)
    study.optimize(objective, n_trials=8, n_jobs=4)
    for trial in study.trials:
        assert trial.value == pytest.approx(AlphaScore()(wwopt.analyze(network(trial.params["decay"]))))


def test_a_loss_that_is_not_a_number(network):
    """As an objective it prunes the trial; beside the score it does so by `AlphaPruner`. The trial is infeasible."""
    study = two_directions(lambda _: iter([(network(), float("nan"))]))
    trial = run(lambda _: (network(), float("nan"))).trials[0]
    for pruned in (study.trials[0], trial):
        assert pruned.state == TrialState.PRUNED
        assert pruned.user_attrs["ww_pruned_by"].startswith("diverged: the training loss is n")
        assert max(pruned.constraints.values()) > 0
    assert trial.user_attrs["train_loss"] is None


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_trial_whose_loss_was_no_number_never_wins(network, keep):
    """Without a pruner it runs to its end and is infeasible, though its score ties with the best."""
    losses = [(0.5, 0.5), (math.nan, math.nan), (math.inf, 0.1), (0.5, math.nan)]
    train = lambda trial: iter([(network(0.5 if trial.number else 0.4), loss) for loss in losses[trial.number]])  # noqa: E731
    study = run(
        train, n_trials=4, n_steps=2, every=1, keep=keep, pruner=optuna.pruners.NopPruner(), artifact_store=None
    )
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert [trial.constraints["ww_unusable"] > 0 for trial in study.trials] == [False, True, True, True]
    assert study.best_trial.number == select(study).number == load_best(study).trial.number == 0
    assert ["ww_artifacts" in trial.user_attrs for trial in study.trials] == [True, False, False, False]


def test_a_loss_that_is_no_number_is_seen_before_the_first_evaluation(network):
    """The quick check looks at it too, so that no half of a training is lost."""
    study = run(lambda _: iter([(network(), math.nan)] * 16), n_steps=16)
    assert list(study.trials[0].intermediate_values) == [0]


BREAKS = {
    "nan head": lambda model: model[3].weight.fill_(math.nan),
    "zero head": lambda model: model[3].weight.zero_(),
    "nan bias": lambda model: model[0].bias.fill_(math.nan),
    "infinite variance": lambda model: model[1].running_var.fill_(math.inf),
    "negative variance": lambda model: model[1].running_var.fill_(-1.0),
    "zero variance": lambda model: model[1].running_var.zero_(),
}


@pytest.mark.parametrize("pruner", [AlphaPruner(), optuna.pruners.NopPruner()], ids=["AlphaPruner", "NopPruner"])
@pytest.mark.parametrize("fault", BREAKS)
def test_a_network_that_is_broken_outside_its_layers_never_wins(fault, pruner):
    """What is too small to be analysed, and what is no matrix, counts too: such a network has the worst score."""

    def train(trial):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(64, 96), torch.nn.BatchNorm1d(96), torch.nn.Linear(96, 96), torch.nn.Linear(96, 10)
        )
        with torch.no_grad():
            if trial.number == 0:
                BREAKS[fault](model)
        yield from [model] * 8

    study = run(train, n_trials=2, n_steps=8, pruner=pruner, artifact_store=None)
    broken, sound = study.trials
    assert broken.intermediate_values[0] == AlphaScore().maximum  # the quick check sees it after the first step
    assert broken.constraints["ww_unusable"] > 0
    assert broken.state == (TrialState.PRUNED if isinstance(pruner, AlphaPruner) else TrialState.COMPLETE)
    assert study.best_trial.number == sound.number
    assert all(values.isfinite().all() for values in load_best(study).state_dict.values())


def test_score_and_loss_are_two_objectives(network):
    """With ``with_loss=True`` a trial has both values, and the weights of the selected one are kept."""
    decays, losses = [0.8, 0.5, 0.45, 0.3], [0.1, 0.3, 0.2, 0.9]
    study = two_directions(lambda trial: (network(decays[trial.number]), losses[trial.number]), n_trials=4)
    assert [trial.values[1] for trial in study.trials] == losses
    assert load_best(study).trial.number == select(study).number


def test_two_objectives_are_pruned_too(network):
    """Optuna takes no report there; the pruner's reason stops the trial all the same."""
    study = two_directions(lambda _: iter([(network(6.0), 0.1)] * 5), n_steps=5)
    assert study.trials[0].state == TrialState.PRUNED
    assert "stable rank" in study.trials[0].user_attrs["ww_pruned_by"]


def test_with_loss_needs_a_loss(network):
    """A model without its loss is an error that says what `train` must give."""
    with pytest.raises(TypeError, match="`with_loss=True` needs the training loss"):
        two_directions(lambda _: network())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, '`every` must be "auto" or at least 1, got 0'),
        ({"every": "often"}, "`every` must be"),
        ({"n_steps": 0}, "`n_steps` must be at least 1, got 0"),
    ],
)
def test_arguments_are_checked(options, message):
    """Bad arguments are refused when the objective is made, not in the first trial."""
    with pytest.raises(ValueError, match=message):
        AlphaObjective(lambda _: None, **options)


def test_train_must_be_callable():
    """A mapping in place of a function is named."""
    with pytest.raises(TypeError, match="`train` must be a function of a trial, got dict"):
        AlphaObjective({})


def test_an_unknown_option_is_named():
    """A typo in ``analyze_options`` is an error when the objective is made, with the name that was meant."""
    with pytest.raises(TypeError, match=r"`min_eval` is not an option of `wwopt.analyze`; did you mean `min_evals`\?"):
        AlphaObjective(lambda _: None, analyze_options={"min_eval": 20})
    with pytest.raises(TypeError, match=r"`nope` is not an option of `wwopt\.analyze`"):
        AlphaObjective(lambda _: None, analyze_options={"nope": 1})
