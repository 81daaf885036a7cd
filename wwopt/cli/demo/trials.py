"""Finished trials of the demo's study as a table, and the trial that each rule of selection picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    import optuna

__all__ = ["FINISHED", "RuleOutcome", "compare_rules", "trials_table"]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
WARNINGS = {"share_over_6": "under-trained", "share_under_2": "over-trained", "share_unusable": "without alpha"}


@dataclass(frozen=True)
class RuleOutcome:
    """The trial that a rule picks, and its test accuracy in [0, 1]."""

    rule: str
    trial: int
    accuracy: float


def compare_rules(trials: pd.DataFrame, chosen: int) -> list[RuleOutcome]:
    """Apply each rule to ``trials``, whose column ``accuracy`` has the test accuracies; the first is `select`'s."""
    complete = trials[(trials["state"] == "complete") & trials["feasible"]]
    by_accuracy = trials.sort_values("accuracy")
    picks: dict[str, Any] = {
        "chosen: `select`, by the vote of the networks": chosen,
        "best: the lowest score": complete["score"].idxmin(),
        "best of all trials": by_accuracy.index[-1],
        "median of all trials": by_accuracy.index[len(by_accuracy) // 2],
        "smallest training loss": trials["train_loss"].idxmin(),
        "smallest mean alpha": trials["alpha"].idxmin(),
    }
    return [RuleOutcome(rule, int(trial), float(trials["accuracy"].loc[trial])) for rule, trial in picks.items()]


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """A row per finished trial, by number; the score of a pruned one is that of its last evaluation."""
    rows = [_row(trial) for trial in study.get_trials(deepcopy=False, states=FINISHED)]
    return pd.DataFrame(rows).set_index("trial", drop=False)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    summary = attributes["ww_summary"]
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "feasible": all(value <= 0 for value in trial.constraints.values()),
        **attributes["ww_score"],
        "alpha": summary["alpha"],
        "trap_energy": summary["trap_energy"],
        "warnings": ", ".join(f"{summary[share]:.0%} {word}" for share, word in WARNINGS.items() if summary[share]),
        "train_loss": attributes["train_loss"],
        "epochs": attributes["ww_step"] + 1,
        "pruned_by": attributes.get("ww_pruned_by") or "",
        **trial.params,
    }
