"""The choice so far, told by an objective to trackers that show it."""

import logging

from tests.support.studies import Student, questions, run
from wwopt.tracking import ChoiceTracker, Tracker
from wwopt_objectives import select
from wwopt_trackers import LocalTracker

NOISES = [2.0, 0.9, 0.3, 0.6, 0.0, 1.2, 0.8]


def student(trial):
    return Student(NOISES[trial.number], trial.number, decay=0.4 + 0.05 * trial.number)


class FirstVersion:
    """A tracker of the protocol's first version: it knows nothing of choices."""

    def child(self, name, *, params, tags):
        return self

    def log(self, analysis, *, step, metrics=None):
        pass

    def finish(self, state, *, reason="", timeout=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass


class Listener(FirstVersion):
    """A tracker that keeps each choice it is told."""

    def __init__(self):
        self.heard = []

    def choose(self, choice):
        self.heard.append(choice)


def test_the_journal_has_the_studys_choice(read):
    """After the last trial the study's run names the trial that `select` chooses, with its reason, and the best one."""
    with LocalTracker("log") as tracker:
        study = run(student, n_trials=len(NOISES), inputs=questions(), trackers=[tracker])
    chosen = select(study)
    root = read()[0].runs()[0]
    assert root.tags["wwopt.chosen"] == f"trial-{chosen.number}"
    assert root.tags["wwopt.best"] == f"trial-{study.best_trial.number}" != root.tags["wwopt.chosen"]
    assert root.tags["wwopt.chosen.reason"] == str(chosen.reason)
    assert root.tags["wwopt.chosen.rung"] == "inputs"
    assert root.tags["wwopt.study"] == study.study_name


def test_a_choice_is_told_after_each_trial():
    """Each trial's end says what `select` would have chosen then, also the end of a pruned one."""
    listener, states = Listener(), []

    def train(trial):
        states.append(trial.number)
        yield student(trial)
        if trial.number == 5:
            trial.study.stop()
            yield Student(9.0, decay=6.0)

    study = run(train, n_trials=len(NOISES), inputs=questions(), trackers=[listener], every=1)
    assert study.trials[5].state.name == "PRUNED"
    assert [choice.trials for choice in listener.heard] == [1, 2, 3, 4, 5, 6]
    assert listener.heard[0].chosen == listener.heard[0].best == "trial-0"
    assert listener.heard[-1].chosen == f"trial-{select(study).number}"
    assert {choice.study for choice in listener.heard} == {study.study_name}
    assert len({choice.began for choice in listener.heard}) == 1


def test_trackers_of_the_first_protocol_keep_working():
    """One that knows no choices is a `Tracker`, and a study that has it ends as it did."""
    assert isinstance(FirstVersion(), Tracker)
    assert not isinstance(FirstVersion(), ChoiceTracker)
    assert isinstance(Listener(), ChoiceTracker)
    assert len(run(student, n_trials=2, trackers=[FirstVersion()]).trials) == 2


def test_a_tracker_that_cannot_be_told_costs_nothing(caplog):
    """What `choose` of a user's own tracker raises is a warning; the trial is complete."""

    class Chooser(FirstVersion):
        def choose(self):
            """Mean something else."""

    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(student, n_trials=1, trackers=[Chooser()])
    assert study.trials[0].state.name == "COMPLETE"
    assert "Chooser could not be told the choice." in caplog.text
