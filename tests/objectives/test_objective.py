"""`AlphaObjective` on real studies and storages."""

import json
import logging

import optuna
import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState

import wwopt
from wwopt_objectives import AlphaObjective, AlphaPruner, AlphaScore, load_best, select
from wwopt_objectives.training.checkpoints import looks
from wwopt_objectives.training.quick_check import seems_broken
from wwopt_objectives.trial.constraints import CONSTRAINTS


def run(train, n_trials=1, storage=None, study=None, **options):
    """A study of ``n_trials`` trials; what a training raises fails its trial and the study goes on."""
    options = {"artifact_store": False, **options}
    study = study or optuna.create_study(
        direction="minimize", storage=storage, pruner=options.pop("pruner", AlphaPruner())
    )
    study.optimize(AlphaObjective(train, **options), n_trials=n_trials, catch=(Exception,))
    return study


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
    """Each look is reported at its step, and the value is that of the last model, due or not."""

    def train(trial):
        yield from (network(0.3 + 0.05 * epoch) for epoch in range(5))

    trial = run(train, every=2, keep="last").trials[0]
    assert list(trial.intermediate_values) == [1, 3]
    assert trial.user_attrs["ww_step"] == 4
    assert trial.value == pytest.approx(AlphaScore()(wwopt.analyze(network(0.5))))


def test_auto_looks_depend_on_shapes_and_steps_alone(network):
    """A short training is looked at after half and all of it, a long one eight times; one without end after 1, 2, 4."""

    def train(trial):
        yield from (network() for _ in range(40))

    assert list(run(train, n_steps=40).trials[0].intermediate_values) == [19, 39]
    due = looks("auto", network(), 4000)
    assert [step for step in range(4000) if due(step)] == list(range(499, 4000, 500))
    assert list(run(train).trials[0].intermediate_values) == [0, 1, 3, 7, 15, 31]


def test_a_glance_finds_what_is_broken(network, diverged):
    """One direction, stray elements, zeros and values that are not finite are seen; of a sound network nothing."""
    assert not seems_broken(network(0.5), {})
    assert not seems_broken(torch.nn.Conv2d(64, 64, 3), {})
    assert seems_broken(network(6.0), {})
    assert seems_broken(diverged, {})
    for value in (0.0, float("nan"), float("inf")):
        assert seems_broken({"a.weight": torch.full((70, 60), value)}, {})
    stray = torch.randn(70, 60, generator=torch.Generator().manual_seed(0))
    stray[3, 4] = 60
    assert seems_broken({"a.weight": stray}, {})
    assert seems_broken({"a.weight": stray, "b.weight": torch.eye(60)}, {"exclude": "b"})
    assert not seems_broken({"a.weight": stray, "b.weight": torch.eye(60)}, {"exclude": "a"})


@pytest.mark.parametrize("bad", ["diverged", "collapsed"])
def test_a_broken_network_is_pruned_at_the_first_look(network, diverged, bad):
    """Collapse and divergence are seen at once, the reason is kept, and the trial is infeasible."""
    model = diverged if bad == "diverged" else network(6.0)
    trained = []

    def train(trial):
        for epoch in range(10):
            trained.append(epoch)
            yield model

    trial = run(train, n_steps=10).trials[0]
    assert trial.state == TrialState.PRUNED
    assert trained == [0]
    assert trial.user_attrs["ww_pruned_by"].startswith("collapsed")
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


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "`train` must return a model .* got None; is a `return` or `yield` missing"),
        (3.5, "`train` must return a model .* got float"),
        ((1, 2, 3), r"got \(int, int, int\)"),
        ((torch.nn.Linear(64, 64), "low"), "The `train_loss` beside the model must be a number"),
    ],
)
def test_the_wrong_result_is_named(result, message):
    """What `train` gives back is checked, and the error says what it was."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(TypeError, match=message):
        study.optimize(AlphaObjective(lambda _: result, artifact_store=False), n_trials=1)
    assert study.trials[0].state == TrialState.FAIL
    assert all(value > 0 for value in study.trials[0].constraints.values())


def test_a_generator_without_a_model():
    """A training that yields nothing is an error that says so."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ValueError, match="`train` yielded nothing"):
        study.optimize(AlphaObjective(lambda _: iter(()), artifact_store=False), n_trials=1)


def test_a_model_without_layers_large_enough_gets_the_maximum():
    """A network too small to judge is finite, the worst, and infeasible."""
    study = run(lambda _: torch.nn.Linear(4, 4))
    assert study.trials[0].value == AlphaScore().maximum
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


def test_attributes_are_plain_json(network, diverged):
    """Nothing but JSON is left on trials and study, also where numbers are missing."""
    models = [network(), diverged]
    study = run(lambda trial: models[trial.number], n_trials=2)
    for attributes in (study.user_attrs, *(trial.user_attrs for trial in study.trials)):
        assert json.loads(json.dumps(attributes, allow_nan=False)) == attributes


def test_the_winner_is_kept(network, tmp_path):
    """`load_best` gives back the winner's weights and analysis, from the default folder and from a store."""
    train = lambda trial: network([0.9, 0.5, 0.0][trial.number])  # noqa: E731
    for store in (None, FileSystemArtifactStore(tmp_path)):
        study = run(train, n_trials=3, artifact_store=store)
        best = load_best(study, artifact_store=store)
        assert best.trial.number == study.best_trial.number
        assert torch.equal(best.state_dict["layer.weight"], train(best.trial)["layer.weight"])
        assert AlphaScore()(best.analysis) == pytest.approx(study.best_value)


DECAYS = (0.9, 0.4, 0.5, 0.9)  # a training that is best at its third step and then goes too far


def best_then_worse(network):
    """A training on one module, which every step changes."""

    def train(trial):
        model = torch.nn.Linear(64, 64, bias=False)
        for decay in DECAYS:
            model.load_state_dict({"weight": network(decay)["layer.weight"]})
            yield model

    return train


def test_the_best_step_counts(network):
    """The value, the record and the kept weights are those of the best look, though the training changed them since."""
    study = run(best_then_worse(network), every=1, artifact_store=None, pruner=optuna.pruners.NopPruner())
    trial, best = study.trials[0], load_best(study)
    assert trial.value == min(trial.intermediate_values.values()) < trial.intermediate_values[3]
    step = trial.user_attrs["ww_step"]
    assert trial.intermediate_values[step] == trial.value == trial.user_attrs["ww_score"]["score"]
    expected = network(DECAYS[step])["layer.weight"]
    assert torch.allclose(best.state_dict["weight"], expected.float(), atol=1e-6)
    assert AlphaScore()(best.analysis) == pytest.approx(trial.value)


def test_the_last_step_counts_on_request(network):
    """With ``keep="last"`` value and weights are those of the end."""
    study = run(best_then_worse(network), every=1, keep="last", artifact_store=None, pruner=optuna.pruners.NopPruner())
    assert study.trials[0].value == study.trials[0].intermediate_values[3]
    assert study.trials[0].user_attrs["ww_step"] == 3
    expected = network(DECAYS[3])["layer.weight"]
    assert torch.allclose(load_best(study).state_dict["weight"], expected.float(), atol=1e-6)


def test_an_early_look_does_not_count(network):
    """Before 40% of ``n_steps`` a low score says little: it is reported, and is not the result."""

    def train(trial):
        yield from (network(decay) for decay in (0.5, 0.9, 0.9, 0.9))

    trial = run(train, every=1, n_steps=4, pruner=optuna.pruners.NopPruner()).trials[0]
    assert trial.intermediate_values[0] < trial.value
    assert trial.user_attrs["ww_step"] == 3


class Checkpoints:
    """A training that yields the paths of files, which are gone once it ends."""

    def __init__(self, network, folder, save):
        self.network, self.folder, self.save = network, folder, save

    def __call__(self, trial):
        path = self.folder / f"{trial.number}.ckpt"
        try:
            for _ in range(2):
                self.save(self.network(), path)
                yield str(path)
        finally:
            path.unlink()


@pytest.mark.parametrize("wrapped", [False, True])
def test_checkpoints_on_disk_are_kept(network, tmp_path, wrapped):
    """A path is read while the training still holds it, whether it has a state dict or one inside a container."""

    def save(weights, path):
        torch.save({"state_dict": weights, "epoch": 1} if wrapped else weights, path)

    study = run(Checkpoints(network, tmp_path, save), n_steps=2, artifact_store=None)
    assert torch.equal(load_best(study).state_dict["layer.weight"], network()["layer.weight"])


def test_a_nested_state_dict_is_kept(network):
    """What analyses a mapping inside a mapping keeps it too, and leaves out what is no tensor."""
    study = run(lambda _: {"model": {**network(), "note": "x"}, "epoch": 3}, artifact_store=None)
    assert list(load_best(study).state_dict) == ["layer.weight"]


def test_any_trial_that_select_may_choose_is_kept(network):
    """With training losses a trial is kept that is better by one of the two numbers, and `load_best` reads it."""
    results = [(0.5, 0.9), (0.45, 0.1), (0.9, 0.95), (0.9, 0.01)]
    study = run(
        lambda trial: (network(results[trial.number][0]), results[trial.number][1]), n_trials=4, artifact_store=None
    )
    scores = [trial.value for trial in study.trials]
    for trial in study.trials:
        mine = scores[trial.number], results[trial.number][1]
        worse = any(scores[other] <= mine[0] and results[other][1] <= mine[1] for other in range(trial.number))
        assert ("ww_artifacts" in trial.user_attrs) is not worse
    for weight in (0.1, 0.25, 0.9):
        chosen = select(study, loss_weight=weight)
        best = load_best(study, trial=chosen)
        assert torch.equal(best.state_dict["layer.weight"], network(results[chosen.number][0])["layer.weight"])


def test_nothing_kept_is_said(network):
    """Where no weights were kept, `load_best` says so."""
    with pytest.raises(ValueError, match="No weights were kept of trial 0"):
        load_best(run(lambda _: network(), artifact_store=False))


def test_no_winner_is_said_with_the_reason(network):
    """Where every trial was pruned, `load_best` says so and why."""
    study = run(lambda _: iter([network(6.0)]), n_trials=2)
    with pytest.raises(ValueError, match=r"None of the 2 trials .* Most common: collapsed: a stable rank"):
        load_best(study)


def test_weights_that_cannot_be_kept_do_not_cost_the_trial(network, tmp_path, caplog):
    """A store that fails is a warning; the trial is complete."""
    store = FileSystemArtifactStore(tmp_path / "missing" / "folder")
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(lambda _: network(), artifact_store=store)
    assert study.trials[0].state == TrialState.COMPLETE
    assert "weights of trial 0 could not be kept" in caplog.text


def test_a_retried_trial_gets_fresh_constraints(network):
    """A retry copies its predecessor's attributes; the objective replaces them."""
    study = optuna.create_study(direction="minimize")
    died = run(lambda _: network(6.0), study=study).trials[0]
    retry = optuna.trial.create_trial(
        state=TrialState.WAITING, user_attrs=died.user_attrs, system_attrs={**died.system_attrs, "failed_trial": 0}
    )
    study.add_trial(retry)
    run(lambda _: network(0.5), study=study)
    assert max(died.constraints.values()) > 0
    assert max(study.trials[1].constraints.values()) <= 0
    assert study.best_trial.number == 1


def test_a_retried_trial_keeps_nothing_of_its_predecessor(network):
    """What the objective writes and a retry inherits is dropped: also kept weights and the loss."""
    study = optuna.create_study(direction="minimize")
    died = run(lambda _: (network(0.5), 0.1), study=study, artifact_store=None).trials[0]
    assert {"ww_artifacts", "train_loss"} <= died.user_attrs.keys()
    study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=died.user_attrs))
    run(lambda _: network(0.9), study=study, artifact_store=None)
    retried = study.trials[1]
    assert retried.user_attrs["ww_score"]["score"] == retried.value > died.value
    assert retried.user_attrs["ww_artifacts"] is None
    assert retried.user_attrs["train_loss"] is None


def test_a_training_that_prunes_itself(network):
    """`TrialPruned` raised in `train` leaves the constraints too: of the last look, or broken where there was none."""

    def train(trial):
        if trial.number == 1:
            yield network(0.5)
        raise optuna.TrialPruned("too slow")

    study = run(train, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert [list(trial.constraints) for trial in study.trials] == [list(CONSTRAINTS)] * 2
    assert [max(trial.constraints.values()) > 0 for trial in study.trials] == [True, False]
    assert all(trial.user_attrs["ww_pruned_by"] == "too slow" for trial in study.trials)


class Undefined(AlphaScore):
    """A score that is not a number."""

    def explain(self, analysis):
        return {**super().explain(analysis), "score": float("nan")}


def test_a_score_that_is_not_a_number_is_the_worst(network, caplog):
    """The study goes on with the score's maximum, and the log says so."""
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(lambda _: network(), score=Undefined())
    assert study.trials[0].value == AlphaScore().maximum
    assert "Undefined gave nan for trial 0; its maximum is used" in caplog.text


def test_a_loss_that_is_not_a_number(network):
    """As an objective it prunes the trial, which is infeasible; beside the score it is recorded as None."""
    study = two_directions(lambda _: iter([(network(), float("nan"))]))
    assert study.trials[0].state == TrialState.PRUNED
    assert study.trials[0].user_attrs["ww_pruned_by"].startswith("diverged: the training loss is nan")
    assert max(study.trials[0].constraints.values()) > 0
    trial = run(lambda _: (network(), float("nan"))).trials[0]
    assert trial.state == TrialState.COMPLETE
    assert trial.user_attrs["train_loss"] is None or "train_loss" not in trial.user_attrs


def test_gaussian_processes_find_their_constraints(network):
    """GPSampler reads constraints by position: every trial has the same, also those pruned or failed."""

    def train(trial):
        decay = trial.suggest_float("decay", 0.3, 6.0)
        if trial.number == 2:
            raise RuntimeError("out of memory")
        yield network(decay if trial.number else 6.0)

    sampler = optuna.samplers.GPSampler(seed=0, n_startup_trials=4)
    study = optuna.create_study(direction="minimize", sampler=sampler, pruner=AlphaPruner())
    run(train, n_trials=6, study=study)
    assert {tuple(trial.constraints) for trial in study.trials} == {CONSTRAINTS}


def two_directions(train, n_trials=1, **options):
    """A study of score and training loss."""
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=AlphaPruner())
    study.optimize(AlphaObjective(train, with_loss=True, **options), n_trials=n_trials)
    return study


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


def test_with_loss_needs_two_directions(network):
    """The error says how the study must be created."""
    study = optuna.create_study(direction="minimize")
    with pytest.raises(ValueError, match=r"create the study with `directions=\['minimize', 'minimize'\]`"):
        study.optimize(AlphaObjective(lambda _: (network(), 0.1), with_loss=True), n_trials=1)


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


class Recorder:
    """A tracker that writes down what it is told."""

    def __init__(self, calls=None, name="study"):
        self.calls, self.name = [] if calls is None else calls, name

    def child(self, name, *, params, tags):
        self.calls.append(("child", name, dict(params), dict(tags)))
        return Recorder(self.calls, name)

    def log(self, analysis, *, step, metrics=None):
        self.calls.append(("log", self.name, step, dict(metrics or {})))

    def finish(self, state, *, reason="", timeout=None):
        self.calls.append(("finish", self.name, state, reason))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.finish("complete")


def test_trackers_hear_of_every_look_and_end(network):
    """Each trial is a child with its parameters, its looks and its true final state."""

    def train(trial):
        trial.suggest_float("lr", 0.1, 0.1)
        if trial.number == 2:
            raise RuntimeError("no data")
        for _ in range(2):
            yield network([0.5, 6.0][trial.number]), 0.5

    tracker = Recorder()
    study = run(train, n_trials=3, every=1, trackers=[tracker])
    children = [call for call in tracker.calls if call[0] == "child"]
    assert [name for _, name, _, _ in children] == ["trial-0", "trial-1", "trial-2"]
    assert all(params == {"lr": 0.1} for _, _, params, _ in children)
    assert children[0][3] == {"study": study.study_name, "trial": "0"}
    looks = [call for call in tracker.calls if call[0] == "log"]
    assert [(name, step) for _, name, step, _ in looks] == [("trial-0", 0), ("trial-0", 1), ("trial-1", 0)]
    assert set(looks[0][3]) == {"ww/score", "train_loss"}
    ends = {name: (state, reason) for kind, name, state, reason in (c for c in tracker.calls if c[0] == "finish")}
    assert ends["trial-0"] == ("complete", "")
    assert ends["trial-1"][0] == "pruned"
    assert "stable rank" in ends["trial-1"][1]
    assert ends["trial-2"] == ("failed", "RuntimeError: no data")


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
