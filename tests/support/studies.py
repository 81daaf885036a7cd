"""Short studies of `AlphaObjective`."""

import optuna

from wwopt_objectives import AlphaObjective, AlphaPruner


def run(train, n_trials=1, storage=None, study=None, **options):
    """A study of ``n_trials`` trials; what a training raises fails its trial and the study goes on."""
    options = {"artifact_store": False, **options}
    study = study or optuna.create_study(
        direction="minimize", storage=storage, pruner=options.pop("pruner", AlphaPruner())
    )
    study.optimize(AlphaObjective(train, **options), n_trials=n_trials, catch=(Exception,))
    return study


def two_directions(train, n_trials=1, **options):
    """A study of score and training loss."""
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=AlphaPruner())
    study.optimize(AlphaObjective(train, with_loss=True, **options), n_trials=n_trials)
    return study
