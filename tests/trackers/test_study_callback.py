"""A study with an objective of the user's own, tracked through callbacks."""

from contextlib import suppress

import optuna
import pytest
import torch

import wwopt
from wwopt_trackers import LocalTracker, StudyCallback, select
from wwopt_trackers.journal.journal import Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def journal_of(folder):
    (path,) = folder.glob("*.db")
    return Journal(path)


def objective_of(callback):
    def objective(trial):
        width = trial.suggest_int("width", 60, 90)
        if trial.number == 3:
            return float(width)  # without logging a network
        torch.manual_seed(trial.number)
        model = torch.nn.Linear(100, width)
        for epoch in range(2):
            analysis = callback.log(trial, model, step=epoch, metrics={"loss": 1.0 / (1 + epoch)})
            trial.report(float(epoch), epoch)
        if trial.number == 1:
            raise optuna.TrialPruned
        if trial.number == 2:
            raise RuntimeError("diverged")
        return analysis.summary["alpha"]

    return objective


ENDS = {
    "trial-0": ("complete", ""),
    "trial-1": ("pruned", "pruned at step 1"),
    "trial-2": ("failed", "the objective raised an error"),
    "trial-3": ("complete", ""),
}


@pytest.mark.parametrize("catch", [(), (RuntimeError,)])
@pytest.mark.parametrize("jobs", [1, 2])
def test_each_trial_has_a_run_with_its_true_end(tmp_path, jobs, catch):
    """Complete, pruned, failed and unlogged trials: parameters, values, what was reported, and states."""
    callback = StudyCallback(LocalTracker("log"))
    study = optuna.create_study(study_name="mine")
    with callback:
        while len(study.trials) < 4:
            with suppress(RuntimeError):
                study.optimize(
                    objective_of(callback), 4 - len(study.trials), callbacks=[callback], n_jobs=jobs, catch=catch
                )
    journal = journal_of(tmp_path / "log")
    root, *runs = journal.runs()
    assert (root.name, root.state) == ("mine", "complete")
    assert {run.name: (run.state, run.reason) for run in runs} == ENDS
    for run in runs:
        trial = study.trials[int(run.tags["trial"])]
        assert run.params == trial.params
        found = [(entry.step, key, value) for entry in journal.entries(run.id) for key, value in entry.metrics.items()]
        points = {(step, key): value for step, key, value in found if not key.startswith("ww/")}
        reported = {(step, "reported"): value for step, value in trial.intermediate_values.items()}
        losses = {(step, "loss"): 1.0 / (1 + step) for step in trial.intermediate_values}
        values = {(trial.last_step or 0, "value"): trial.value} if trial.value is not None else {}
        assert points == reported | losses | values
        assert len(journal.artifacts(run.id)) == len(trial.intermediate_values)
    journal.close()
    assert select(journal="log").table["name"].tolist() == ["trial-0"]


@pytest.mark.filterwarnings("ignore:.*set_metric_names is experimental")
def test_two_values_and_an_analysis_that_is_there(tmp_path):
    """Values are logged under the study's names for them; an `Analysis` is taken as it is."""
    callback = StudyCallback(LocalTracker("log"))
    given = wwopt.analyze({"fc.weight": torch.eye(60)})

    def objective(trial):
        assert callback.log(trial, given) is given
        return 1.0, 2.0

    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["error", "speed"])
    with callback:
        study.optimize(objective, 1, callbacks=[callback])
    journal = journal_of(tmp_path / "log")
    assert {"error": 1.0, "speed": 2.0}.items() <= {
        key: value for entry in journal.entries(journal.runs()[1].id) for key, value in entry.metrics.items()
    }.items()
    journal.close()


def test_a_trial_never_has_two_runs(tmp_path):
    """One thread's callback may end the trial of another, whose own callback then finds it ended."""
    callback = StudyCallback(LocalTracker("log"))
    study = optuna.create_study(study_name="mine")
    with callback:
        trials = [study.ask() for _ in range(2)]
        for trial in trials:
            callback.log(trial, {"fc.weight": torch.eye(60)}, step=3)
            study.tell(trial, trial.number)
        for trial in study.trials:
            callback(study, trial)
        callback.log(trials[1], {"fc.weight": torch.eye(60)}, step=4)
    journal = journal_of(tmp_path / "log")
    runs = journal.runs()[1:]
    assert [(run.name, run.state) for run in runs] == [("trial-0", "complete"), ("trial-1", "complete")]
    assert [[entry.step for entry in journal.entries(run.id)] for run in runs] == [[3, 0], [3, 0, 4]]
    journal.close()


def test_a_second_block_begins_anew(tmp_path):
    """A callback that was used for one study tracks another of the same name."""
    callback = StudyCallback(LocalTracker("log"))
    for _ in range(2):
        study = optuna.create_study(study_name="mine")
        with callback:
            study.optimize(lambda trial: 1.0, 1, callbacks=[callback])
    journals = [Journal(path) for path in sorted((tmp_path / "log").glob("*.db"))]
    assert [[run.state for run in journal.runs()] for journal in journals] == [["complete"] * 2] * 2
    for journal in journals:
        journal.close()


def test_options_of_the_analysis(tmp_path):
    """They are those of `wwopt.analyze`; an unknown one is refused at once, by name."""
    callback = StudyCallback(LocalTracker("log"), analyze_options={"min_evals": 10, "progress": False})
    with callback:
        trial = optuna.create_study().ask()
        assert len(callback.log(trial, {"fc.weight": torch.eye(20)}).details) == 1
    with pytest.raises(TypeError, match=r"`nope` is not an option of `wwopt\.analyze`"):
        StudyCallback(LocalTracker("log"), analyze_options={"nope": 1})


def test_without_a_tracker():
    """The error names the argument."""
    with pytest.raises(ValueError, match="`trackers` must be one or more"):
        StudyCallback()
