"""What is done in each checkout, by names of the public contract alone."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import wwopt
import wwopt_objectives
from benchmarks.regression.commands import commands
from benchmarks.regression.exact import analysis, exact, files, table
from benchmarks.regression.networks import perceptron, train
from benchmarks.regression.studies import run_study, study_numbers

if TYPE_CHECKING:
    from benchmarks.regression.materials import Materials

__all__ = ["TIMED", "WORKS"]

ESTIMATORS = ("mle", "hill", "peak", "tpl")
WEIGHTS_ALONE = ("AlphaScore", "AlignmentScore")


def minilm(materials: Materials) -> Any:
    """The analysis of a sentence transformer, and what the scores make of it."""
    found = wwopt.analyze(materials.minilm, alignment=True)
    return {"analysis": analysis(found), "scores": _scores(found, *WEIGHTS_ALONE)}


def module(materials: Materials) -> Any:
    """The analysis of a module: layers matched by its graph, and what it answers to noise."""
    found = wwopt.analyze(materials.module(), alignment=True, response=True)
    return {"analysis": analysis(found), "scores": _scores(found, *WEIGHTS_ALONE, "ResponseScore")}


def options(materials: Materials) -> Any:
    """The analysis of a checkpoint by each estimator, and with each option that changes numbers."""
    chosen: dict[str, dict[str, Any]] = {estimator: {"estimator": estimator} for estimator in ESTIMATORS}
    chosen |= {
        "not randomized": {"randomize": False},
        "intervals": {"confidence": 0.95, "include": "2"},
        "single": {"precision": "single"},
        "base": {"base": materials.epochs[0]},
        "fewer": {"min_evals": 10, "max_evals": 200, "exclude": "9"},
        "zeros": {"zero_tol": 0.01},
    }
    found = {name: analysis(wwopt.analyze(materials.last, **each)) for name, each in chosen.items()}
    return found | {"damaged": analysis(wwopt.analyze(materials.damaged))}


def rank(materials: Materials) -> Any:
    """The epochs and a damaged network in their order, by the default and by two other metrics."""
    sources = {file.stem: file for file in [*materials.epochs, materials.damaged]}
    rankings = {metric: wwopt.rank(sources, metric=metric) for metric in ("auto", "alpha", "stable_rank")}
    return {name: [found.metric, found.best, table(found.table)] for name, found in rankings.items()}


def compare(materials: Materials) -> Any:
    """The last epoch beside the first, itself and a damaged copy."""
    others = {"first": materials.epochs[0], "same": materials.last, "damaged": materials.damaged}
    found = {name: wwopt.compare(materials.last, other) for name, other in others.items()}
    return {
        name: {"ok": each.ok, "alerts": [alert.name for alert in each.alerts], "table": table(each.table)}
        for name, each in found.items()
    }


def monitor(_: Materials) -> Any:
    """What each layer is said to be up to, epoch by epoch."""
    torch.manual_seed(0)
    model = perceptron(80)
    watching = wwopt_objectives.AlphaMonitor(model)
    trained = train(model, lr=0.05, epochs=4, seed=0)
    readings = [watching.step(epoch) for epoch, _ in enumerate(trained)]
    return [[each.step, exact(each.score), each.broken, table(each.table)] for each in readings]


def disk(materials: Materials) -> Any:
    """The files of a cache, name and content, and what comes back from a saved analysis."""
    with tempfile.TemporaryDirectory() as folder:
        cache, saved = Path(folder, "cache"), Path(folder, "saved.npz")
        found = wwopt.analyze(materials.damaged, cache=cache)
        again = wwopt.analyze(materials.damaged, cache=cache)
        found.save(saved)
        return {
            "cache": files(cache),
            "same again": analysis(found) == analysis(again),
            "saved": analysis(wwopt.Analysis.load(saved)),
        }


def study(_: Materials) -> Any:
    """A study with one direction and one with two, to their last attribute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental parts of Optuna
        return {"one": study_numbers(n_trials=8), "two": study_numbers(n_trials=4, with_loss=True)}


def _scores(found: wwopt.Analysis, *names: str) -> Any:
    scores = {name: getattr(wwopt, name)() for name in names} | {"default": wwopt.default_score(found)}
    return {name: exact([score.settings(), score(found), score.explain(found)]) for name, score in scores.items()}


WORKS: dict[str, Callable[[Materials], Any]] = {
    work.__name__: work for work in (minilm, module, options, rank, compare, monitor, disk, study, commands)
}
TIMED: dict[str, Callable[[Materials], Any]] = {
    "analyze MiniLM": lambda materials: wwopt.analyze(materials.minilm),
    "analyze the CNN": lambda materials: wwopt.analyze(materials.last),
    "analyze the module": lambda materials: wwopt.analyze(materials.module(), alignment=True),
    "rank": lambda materials: wwopt.rank({file.stem: file for file in materials.epochs}),
    "compare": lambda materials: wwopt.compare(materials.last, materials.epochs[0]),
    "study": lambda _: run_study(n_trials=4),
}
