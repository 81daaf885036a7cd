"""Options that commands share: each is an argument of the function that the command calls."""

import inspect
from pathlib import Path

import pytest
import typer

import wwopt
from wwopt.cli.app import app
from wwopt.cli.options import AnalyzeOptions, CompareOptions, RankOptions

SHARED = {"include", "exclude", "min_evals", "device", "cache"}
RANKED = SHARED | {"max_evals", "estimator", "base"}
EVIDENCE = {"answers", "inputs", "losses", "kind", "with_labels"}  # beside the weights
ANALYZED = RANKED | {"confidence", "alignment", "precision"}


@pytest.mark.parametrize(
    ("options", "function", "names"),
    [
        (AnalyzeOptions, wwopt.analyze, ANALYZED | {"progress"}),
        (RankOptions, wwopt.analyze, RANKED | {"progress"}),
        (CompareOptions, wwopt.compare, SHARED | {"thresholds", "progress"}),
    ],
)
def test_arguments_are_those_of_the_function(options, function, names):
    """The defaults are the function's own; an empty list of patterns is none."""
    arguments = options(include=[]).arguments()
    assert set(arguments) == names
    parameters = inspect.signature(function).parameters
    for name, value in arguments.items():
        assert value == (wwopt.Thresholds() if name == "thresholds" else parameters[name].default), name


def test_values_reach_the_function():
    """What is given stays, and without progress there is no bar."""
    options = AnalyzeOptions(include=["a*"], min_evals=9, cache=Path("kept"), estimator="hill", base="base.pt")
    arguments = options.arguments(progress=False)
    given = {"include": ["a*"], "min_evals": 9, "cache": Path("kept"), "estimator": "hill", "base": "base.pt"}
    assert given.items() <= arguments.items()
    assert arguments["progress"] is False
    assert CompareOptions(threshold=["distance=0.25"]).arguments()["thresholds"].distance == 0.25


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("analyze", {"model", "out", "as_json", "quiet"} | ANALYZED),
        ("report", {"models", "out", "quiet"} | ANALYZED),
        ("rank", {"models", "metric", "as_json", "as_csv", "quiet"} | EVIDENCE | RANKED),
        ("compare", {"reference", "candidate", "junit", "as_json", "quiet", "threshold"} | SHARED),
        (
            "watch",
            {"source", "reference", "interval", "once", "webhook", "tag", "uri", "as_json", "threshold"} | SHARED,
        ),
    ],
)
def test_parameters_of_commands(command, names):
    """Each command has its own options and the shared ones."""
    found = typer.main.get_command(app).commands[command].params
    assert {parameter.name for parameter in found} == names
