"""A worker on a study whose trials vote, run by `test_real_studies`.

``python voting_worker.py KIND URL FOLDER NUMBER``
"""

import sys
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore

from tests.support.studies import Student, questions
from wwopt_objectives import AlphaObjective
from wwopt_trackers import LocalTracker

TRIALS, KEPT = 6, 4  # of each worker; weights that are kept


def open_storage(kind, url):
    if kind == "journal":
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 300}})


def train(trial):
    noise = trial.suggest_float("noise", 0.1, 1.5)
    return Student(noise, trial.number)


def main(kind, url, folder, number):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=int(number))
    study = optuna.load_study(study_name="s", storage=open_storage(kind, url), sampler=sampler)
    with LocalTracker(Path(folder) / f"log-{number}") as tracker:
        objective = AlphaObjective(
            train,
            inputs=questions(),
            artifact_store=FileSystemArtifactStore(Path(folder) / "store"),
            keep_n=KEPT,
            trackers=[tracker],
        )
        study.optimize(objective, n_trials=TRIALS)


if __name__ == "__main__":
    main(*sys.argv[1:])
