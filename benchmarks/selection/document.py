"""`docs/evidence.md`, written from the numbers that `evaluate` and `prune` stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.selection.networks import COLLAPSED
from benchmarks.selection.pictures import regret_picture, scatter_picture
from benchmarks.selection.store import read_record, write
from benchmarks.selection.tables import ablation_table, half_table, interval_table, matrix, pruning_tables, task_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_document"]

INTRODUCTION = f"""# Evidence: choosing networks by their weights

`make evidence` wrote this page; it is not edited by hand. Each task's networks have random hyper-parameters:
SGD with momentum (learning rate 1e-3 to 1) or AdamW (1e-5 to 1e-1), weight decay 1e-6 to 1e-1, batch size,
dropout, length of training over a factor of four, constant or cosine schedule. Many of them fail, as they do in
a real search.

**Numbers of ours (the weights of `AlphaScore`'s terms, thresholds) were chosen on the tuning half alone**: its
tables show how well they fit, and are no evidence. The reporting half has other data sets: its tables are the
evidence. Nothing was left out, also not what failed.

- *Quality* is test accuracy, the explained share of the variance (regression), or the mean log likelihood in
  nats (language). Networks that went at most {COLLAPSED:.0%} of the way from chance to the task's best network
  count as *collapsed*, whatever the reason, and are tied at chance, so that noise among failures does not count.
- *Tau* is Kendall's tau-b with test quality, 1 for a perfect order, 0 for a random one; its interval is a
  bootstrap over the networks. Ties among collapsed networks keep tau-b below 1 even for a perfect order.
- *Regret* is what the choice costs, in points: 100 (best - chosen) / (best - chance). A tie takes the worst of
  the tied. *Top-3*: the best of the first three.
- *Search of 20*: the mean over 2000 random subsets of 20 of the networks, regret within each.
- *Uses*: the data that a way to choose needs besides the weights. Validation labels are clean, also where training
  labels are wrong, which makes validation a strong baseline.
- A network with layers that are not finite is ranked last by every number that is made of its spectra.

The rule of the two rungs with inputs was frozen before the reporting half was opened for it. It then took clean
labels of unclear tasks for wrong (mean regret 16.6 and 8.2 points), and was changed: for these rows the reporting half
is no evidence any more. The tables of [real searches](searches.md) are from before that change.

The text tasks read Python's own standard library, so that numbers differ a little from one version of Python to
another.
"""

PRUNING = """Pruners replayed over the stored trainings, eight evaluations each, as real Optuna trials in the same
order. A pruner's choice is the best of the trainings it let finish, by the number that it pruned by; points lost are
against the choice by the same number where nothing is pruned. A negative loss is luck: the unpruned choice was
pruned and its substitute was better.
"""


def write_document(folder: Path, docs: Path) -> None:
    """Write the page and its figures."""
    evaluation, pruning = read_record(folder / "evaluation.json"), read_record(folder / "pruning.json")
    parts = [INTRODUCTION]
    if evaluation:
        scatters = {f"evidence-scatter-{number}.png": judge for number, judge in enumerate(evaluation["points"], 1)}
        _draw(docs / "pictures" / "evidence-regret.png", regret_picture(evaluation))
        for name, judge in scatters.items():
            _draw(docs / "pictures" / name, scatter_picture(evaluation, judge))
        parts += [f"## Tasks\n\n{task_table(evaluation)}"]
        if "reporting" in evaluation["judges"][0]["halves"]:
            parts += [f"## The reporting half: the evidence\n\n{half_table(evaluation['judges'], 'reporting')}"]
        if "tuning" in evaluation["judges"][0]["halves"]:
            parts += [f"## The tuning half: no evidence\n\n{half_table(evaluation['judges'], 'tuning')}"]
        parts += [
            "![Regret by way of choosing](pictures/evidence-regret.png)",
            *[f"![{judge} against test quality](pictures/{name})" for name, judge in scatters.items()],
            f"## Task by task\n\nTau with its interval:\n\n{interval_table(evaluation)}",
            f"Kendall's tau:\n\n{matrix(evaluation, 'tau', 2)}",
            f"Top-1 regret, points:\n\n{matrix(evaluation, 'top1', 1)}",
            f"Top-3 regret, points:\n\n{matrix(evaluation, 'top3', 1)}",
            f"Share of searches of 20 that a collapsed network wins:\n\n{matrix(evaluation, 'subset_collapsed', 3)}",
            f"## What each term of AlphaScore is worth\n\n{ablation_table(evaluation)}",
        ]
    if pruning:
        parts += [f"## Pruning\n\n{PRUNING}\n{pruning_tables(pruning)}"]
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    write(docs / "evidence.md", lambda path: path.write_text(text, encoding="utf-8"))


def _draw(path: Path, figure: Figure) -> None:
    write(path, lambda scratch: figure.savefig(scratch, dpi=130))
