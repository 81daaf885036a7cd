"""`load_best` on studies that kept weights, or none."""

import optuna
import pytest
import torch
from optuna.artifacts import FileSystemArtifactStore

from tests.support.studies import run
from wwopt_objectives import AlphaScore, load_best


def test_the_best_trial_is_kept(network, tmp_path):
    """`load_best` gives back the best trial's weights and analysis, from the default folder and from a store."""
    train = lambda trial: network([0.9, 0.5, 0.0][trial.number])  # noqa: E731
    for store in (None, FileSystemArtifactStore(tmp_path)):
        study = run(train, n_trials=3, artifact_store=store)
        best = load_best(study, artifact_store=store)
        assert best.trial.number == study.best_trial.number
        assert torch.equal(best.state_dict["layer.weight"], train(best.trial)["layer.weight"])
        assert AlphaScore()(best.analysis) == pytest.approx(study.best_value)


def test_nothing_kept_is_said(network):
    """Where no weights were kept, `load_best` says so."""
    with pytest.raises(ValueError, match="No weights were kept of trial 0"):
        load_best(run(lambda _: network(), artifact_store=False))


def test_no_best_trial_is_said_with_the_reason(network):
    """Where every trial was pruned, `load_best` says so and why."""
    study = run(lambda _: iter([network(6.0)]), n_trials=2)
    with pytest.raises(ValueError, match=r"None of the 2 trials .* Most common: collapsed: a stable rank"):
        load_best(study)


def test_complete_trials_that_are_infeasible_are_named():
    """Where networks are complete but broken, the constraint is the reason."""
    study = run(
        lambda _: {"layer.weight": torch.full((64, 64), torch.nan)}, n_trials=2, pruner=optuna.pruners.NopPruner()
    )
    with pytest.raises(ValueError, match=r"Most common: infeasible by ww_collapsed, ww_trapped, ww_undertrained, "):
        load_best(study)
