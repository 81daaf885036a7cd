"""Studies with real trainings and real workers: the vote chooses where losses and scores mislead."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState
from sklearn.datasets import load_digits

from tests.support import voting_worker
from wwopt_objectives import AlphaObjective, load_best, select
from wwopt_objectives.study.kept_weights import trials_without_weights
from wwopt_trackers.journal.choice_tags import choice_in, is_newer
from wwopt_trackers.journal.journal import Journal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TRAINED, WRONG = 600, 240  # images; those with a wrong label
DEADLINE = 500


class Digits:
    """Perceptrons on real digits of which 40% have wrong labels; some train so long that they memorise these."""

    def __init__(self):
        images, classes = load_digits(return_X_y=True)
        draw = torch.Generator().manual_seed(0)
        order = torch.randperm(len(images), generator=draw)
        images, classes = torch.as_tensor(images / 16).float()[order], torch.as_tensor(classes)[order]
        self.images, self.labels = images[:TRAINED], classes[:TRAINED].clone()
        wrong = torch.randperm(TRAINED, generator=draw)[:WRONG]
        self.labels[wrong] = (self.labels[wrong] + torch.randint(1, 10, (WRONG,), generator=draw)) % 10
        self.test_images, self.test_classes = images[TRAINED:], classes[TRAINED:]
        self.accuracies = {}

    def __call__(self, trial):
        torch.manual_seed(trial.number)
        epochs = trial.suggest_categorical("epochs", [4, 8, 16, 60])
        lr = trial.suggest_float("lr", 0.02, 0.3, log=True)
        decay = trial.suggest_float("weight_decay", 1e-6, 3e-2, log=True)
        model = torch.nn.Sequential(
            torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 96), torch.nn.ReLU(), torch.nn.Linear(96, 10)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
        for _ in range(epochs):
            for batch in torch.randperm(TRAINED).split(60):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(self.images[batch]), self.labels[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            right = model(self.test_images).argmax(1) == self.test_classes
            self.accuracies[trial.number] = float(right.float().mean())
            return model, torch.nn.functional.cross_entropy(model(self.images), self.labels).item()


def test_the_vote_finds_what_loss_and_score_miss(tmp_path):
    """With 40% wrong labels the smallest loss is that of a network that memorised them; the chosen one did not."""
    train, store = Digits(), FileSystemArtifactStore(tmp_path)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    for _ in range(2):  # begun, and resumed from its storage
        sampler = optuna.samplers.RandomSampler(seed=1 + len(train.accuracies))
        study = optuna.create_study(study_name="digits", storage=url, sampler=sampler, load_if_exists=True)
        objective = AlphaObjective(
            train, inputs=(train.images, train.labels), with_labels=True, artifact_store=store, keep_n=3
        )
        study.optimize(objective, n_trials=7)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    by_loss = min(complete, key=lambda trial: trial.user_attrs["train_loss"])
    chosen, top = select(study), max(train.accuracies.values())
    assert top - train.accuracies[chosen.number] < 0.05
    assert top - train.accuracies[by_loss.number] > 0.15
    assert (chosen.reason.rung, chosen.reason.can_tell) == ("inputs and loss", True)
    assert chosen.reason.meter == pytest.approx(WRONG / TRAINED, abs=0.08)
    best = load_best(study, artifact_store=store)
    assert best.trial == chosen
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 96), torch.nn.ReLU(), torch.nn.Linear(96, 10)
    )
    model.load_state_dict(best.state_dict)
    right = model(train.test_images).argmax(1) == train.test_classes
    assert float(right.float().mean()) == pytest.approx(train.accuracies[chosen.number])


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_workers_share_one_vote(kind, tmp_path):
    """Two processes on one study: every trial votes, the chosen one's weights are there, and the last word is right."""
    (tmp_path / "store").mkdir()
    url = f"sqlite:///{tmp_path / 'study.db'}" if kind == "sqlite" else str(tmp_path / "study.log")
    storage = voting_worker.open_storage(kind, url)
    study = optuna.create_study(study_name="s", storage=storage, direction="minimize")
    path = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, voting_worker.__file__, kind, url, str(tmp_path)]
    workers = [
        subprocess.Popen([*command, str(number)], env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
        for number in range(2)
    ]
    assert [worker.wait(DEADLINE) for worker in workers] == [0, 0]
    assert len(study.trials) == 2 * voting_worker.TRIALS
    chosen = select(study)
    assert chosen.reason.can_tell
    assert chosen.reason.no_vote == {}
    noises = sorted(trial.params["noise"] for trial in study.trials)
    assert chosen.params["noise"] <= noises[5]
    store = FileSystemArtifactStore(tmp_path / "store")
    assert torch.equal(load_best(study, artifact_store=store).state_dict["head.weight"], head(chosen))
    files = list((tmp_path / "store").iterdir())
    assert 2 <= len(files) <= 2 * (voting_worker.KEPT + len(workers))
    gone = trials_without_weights(study)
    listed = {name for trial in study.trials if trial.number not in gone
              for name in (trial.user_attrs.get("ww_artifacts") or {}).values()}  # fmt: skip
    assert listed == {file.name for file in files}
    assert last_word(tmp_path) == f"trial-{chosen.number}"
    if kind == "sqlite":
        storage.engine.dispose()


def head(trial):
    return voting_worker.Student(trial.params["noise"], trial.number).head.weight


def last_word(folder):
    """The choice that stands, of those that the two workers told their trackers."""
    words = {}
    for file in sorted(folder.glob("log-*/*.db")):
        journal = Journal(file)
        told = choice_in(journal.runs()[0].tags)
        journal.close()
        words = told if is_newer(told, words) else words
    assert words["wwopt.chosen.trials"] == str(2 * voting_worker.TRIALS)
    return words["wwopt.chosen"]
