"""Weights that are kept while a trial trains, whatever the training yields."""

import logging

import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState

from tests.support.studies import run
from wwopt_objectives import load_best


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


def test_weights_that_cannot_be_kept_do_not_cost_the_trial(network, tmp_path, caplog):
    """A store that fails is a warning; the trial is complete."""
    store = FileSystemArtifactStore(tmp_path / "missing" / "folder")
    with caplog.at_level(logging.WARNING, "wwopt"):
        study = run(lambda _: network(), artifact_store=store)
    assert study.trials[0].state == TrialState.COMPLETE
    assert "weights of trial 0 could not be kept" in caplog.text
