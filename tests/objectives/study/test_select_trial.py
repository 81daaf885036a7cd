"""`select`: which trial it returns, and why."""

import copy
import pickle

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from tests.support.studies import Student, questions, run, two_directions
from wwopt_objectives import load_best, select

NOISES = [2.0, 0.9, 0.3, 0.6, 0.0, 1.2, 0.8, 9.0]  # of the students: number 4 answers as the teacher does
GOOD = (2, 4)
LOSSES = [0.3, 0.7, 0.8, 0.75, 0.9, 0.6, 0.72, 2.3]  # smaller for a worse one, but for the last, which learned nothing


def students(trial):
    """A student, and a training loss that says the opposite of how good it is."""
    student = Student(NOISES[trial.number], trial.number, decay=0.4 + 0.05 * trial.number)
    return student, LOSSES[trial.number]


def test_without_answers_the_score_chooses(network):
    """Where neither inputs nor losses are known, the chosen trial is the one of the best value."""
    study = run(lambda trial: network([0.9, 0.5, 0.7][trial.number]), n_trials=3)
    chosen = select(study)
    assert chosen.number == study.best_trial.number == 1
    assert (chosen.reason.rung, chosen.reason.can_tell, chosen.reason.best) == ("weights", False, 1)
    assert chosen.reason.agreement is chosen.reason.loss is chosen.reason.meter is None
    assert chosen.reason.runners_up == (2, 0)


def test_without_answers_the_training_loss_chooses_among_the_sound(network):
    """A smaller loss wins, and not that of a collapsed network; both best and chosen are named."""
    decays, losses = [0.4, 0.5, 6.0], [0.1, 0.4, 0.01]
    study = run(
        lambda trial: (network(decays[trial.number]), losses[trial.number]),
        n_trials=3,
        pruner=optuna.pruners.NopPruner(),
    )
    scores = [trial.value for trial in study.trials]
    best = int(np.argmin(scores[:2]))
    chosen = select(study)
    assert (chosen.number, chosen.reason.rung, chosen.reason.loss) == (0, "weights and loss", 0.1)
    assert chosen.reason.best == best
    assert ("best value is trial" in str(chosen.reason)) == (best != 0)


def test_the_vote_chooses_where_losses_mislead():
    """The network that agrees with the others is chosen, though its loss is the largest."""
    study = run(students, n_trials=len(NOISES), inputs=questions())
    chosen = select(study)
    assert chosen.number in GOOD
    assert (chosen.reason.rung, chosen.reason.can_tell) == ("inputs and loss", True)
    assert min(study.trials, key=lambda trial: trial.user_attrs["train_loss"]).number == 0
    assert 0.5 < chosen.reason.agreement <= 1
    assert " is chosen by the vote on the inputs and the training loss: " in str(chosen.reason)


def test_the_vote_needs_no_loss():
    """Where `train` gives no loss, the rung says so."""
    study = run(lambda trial: students(trial)[0], n_trials=len(NOISES), inputs=questions())
    chosen = select(study)
    assert chosen.reason.rung == "inputs"
    assert chosen.number in GOOD


def test_the_chosen_trial_equals_the_studys(storage):
    """It is a `FrozenTrial` that equals the study's, whichever stands left, also after a copy or a pickle."""
    study = run(students, n_trials=6, storage=storage, inputs=questions())
    chosen = select(study)
    theirs = study.trials[chosen.number]
    assert isinstance(chosen, optuna.trial.FrozenTrial)
    assert chosen == theirs
    assert theirs == chosen
    assert chosen in study.trials
    assert chosen != study.trials[chosen.number - 1]
    for twin in (copy.deepcopy(chosen), pickle.loads(pickle.dumps(chosen))):
        assert twin == theirs
        assert twin.reason == chosen.reason
    study.enqueue_trial(chosen.params)
    study.add_trial(optuna.trial.create_trial(value=1.0))


def test_a_study_with_two_directions_has_a_chosen_trial_and_no_best():
    """There the value that is best is none of one trial's."""
    chosen = select(two_directions(students, n_trials=len(NOISES), inputs=questions(), artifact_store=False))
    assert chosen.number in GOOD
    assert chosen.reason.best is None


def test_no_trial_to_choose_is_said_with_the_reason():
    """Where every trial was pruned, the message says so and why."""
    study = run(lambda _: iter([{"layer.weight": torch.ones(64, 64)}]), n_trials=2)
    with pytest.raises(ValueError, match=r"None of the 2 trials .* none can be chosen\. Most common: "):
        select(study)
    with pytest.raises(ValueError, match=r"None of the 0 trials"):
        select(optuna.create_study())


def test_pruned_trials_vote_and_are_not_chosen():
    """Six trials that were pruned judge the two that were not; alone those two could not tell."""
    noises = [0.3, 0.5, 0.4, 0.6, 0.5, 0.4, 1.5, 0.7]

    def train(trial):
        yield Student(noises[trial.number], trial.number)
        if trial.number < 6:
            raise optuna.TrialPruned

    study = run(train, n_trials=8, inputs=questions(), n_steps=1, keep="last")
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.PRUNED] * 6 + [TrialState.COMPLETE] * 2
    chosen = select(study)
    assert (chosen.number, chosen.reason.can_tell, chosen.reason.no_vote) == (7, True, {})


def test_a_user_constraint_takes_no_vote_away():
    """A trial that the user rules out votes, and is not chosen: the next one is, as it would have come without."""
    free = select(run(students, n_trials=len(NOISES), inputs=questions()))

    def train(trial):
        trial.set_constraint("parameters", 1.0 if trial.number == free.number else -1.0)
        return students(trial)

    chosen = select(run(train, n_trials=len(NOISES), inputs=questions()))
    assert chosen.number == free.reason.runners_up[0]
    assert free.number not in chosen.reason.no_vote
    assert "first among those that may be chosen" in str(chosen.reason)


def test_a_collapsed_network_neither_votes_nor_wins():
    """Six copies of a collapsed network agree with each other, and have no vote."""

    def train(trial):
        return Student(9.0, decay=6.0) if trial.number < 6 else Student(NOISES[trial.number - 6], trial.number)

    study = run(train, n_trials=6 + len(NOISES), inputs=questions(), pruner=optuna.pruners.NopPruner())
    chosen = select(study)
    assert chosen.number >= 6
    assert set(range(6)) <= chosen.reason.no_vote.keys()


def test_what_select_chose_is_loaded(tmp_path):
    """`load_best` gives the chosen trial's weights, which are not those of the best value."""
    store = optuna.artifacts.FileSystemArtifactStore(tmp_path)
    study = run(students, n_trials=len(NOISES), inputs=questions(), artifact_store=store)
    best = load_best(study, artifact_store=store)
    assert best.trial == select(study)
    assert torch.equal(best.state_dict["head.weight"], students(best.trial)[0].head.weight)
    assert select(study).reason.best != best.trial.number
    assert load_best(study, trial=study.best_trial, artifact_store=store).trial.number == study.best_trial.number
