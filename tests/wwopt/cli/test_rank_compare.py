"""`wwopt rank` and `wwopt compare`, as a user and a CI meet them."""

import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import torch

from wwopt.cli import run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two epochs of a network, one that a typing error has scaled, and one of another kind."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 70), torch.nn.Linear(70, 3))
    state = model.state_dict()
    torch.save(state, "epoch-1.pt")
    torch.save({name: W * 1.01 + 0.01 * W.flip(0) for name, W in state.items()}, "epoch-2.pt")
    torch.save({**state, "1.weight": 10 * state["1.weight"]}, "scaled.pt")
    np.savez("other.npz", **{"head.weight": np.random.default_rng(0).normal(size=(200, 51))})
    return tmp_path


def test_rank_prints_the_best_first_and_why(folder, capsys):
    """The metric, its reason, the interval and the tie are said."""
    assert run(["rank", "epoch-1.pt", "epoch-2.pt"]) == 0
    out = capsys.readouterr().out
    assert "Ranked by score: the networks have the same shapes" in out
    assert "epoch-1.pt" in out
    assert "ties with" in out


def test_rank_for_programs(folder, capsys):
    """JSON has everything, the CSV the whole table."""
    assert run(["rank", "epoch-1.pt", "epoch-2.pt", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["metric"] == "score"
    assert answer["best"] == answer["table"][0]["name"]
    assert run(["rank", "epoch-1.pt", "epoch-2.pt", "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="name")
    assert table.index[0] == answer["best"]
    assert {"score", "alpha", "parameters", "rank_alpha", "low", "high"} <= set(table)


def test_a_folder_is_its_epochs(folder, capsys):
    """One argument that holds several checkpoints is enough."""
    (folder / "run").mkdir()
    for name in ("epoch-1.pt", "epoch-2.pt"):
        (folder / name).rename(folder / "run" / name)
    assert run(["rank", "run", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["table"]} == {"run/epoch-1.pt", "run/epoch-2.pt"}


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["epoch-1.pt", "epoch-2.pt", "gone.pt"], ["gone.pt: No such file: gone.pt"]),
        (["epoch-1.pt", "./epoch-1.pt"], ["epoch-1.pt, ./epoch-1.pt: one network under several names"]),
        (["epoch-1.pt", "epoch-2.pt", "empty"], ["empty: empty holds no checkpoint, and no folder that does."]),
        (["epoch-1.pt", "epoch-2.pt", "hf://org"], ["org: A name on the hub must read `hf://org/name`"]),
        (
            ["epoch-1.pt", "other.npz"],
            ["epoch-1.pt: no layer in common with any other candidate", "other.npz: no layer in common"],
        ),
        (["epoch-1.pt"], ["A ranking needs at least two candidates, got 1. `analyze` looks at one."]),
        (["epoch-1.pt", "epoch-2.pt", "--metric", "fame"], ["`metric` must be 'auto', a score or one of"]),
        (["epoch-1.pt", "epoch-2.pt", "--base", "other.npz"], ["epoch-1.pt: it has no layer in common with the base"]),
    ],
)
def test_bad_input_of_rank(arguments, lines, folder, capsys):
    """One clear line each, exit status 2, and the rest is ranked."""
    (folder / "empty").mkdir()
    assert run(["rank", *arguments]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == len(lines)
    for said, expected in zip(captured.err.splitlines(), lines, strict=True):
        assert said.startswith("wwopt: ")
        assert expected in said
    if "epoch-2.pt" in arguments and "--metric" not in arguments and "--base" not in arguments:
        assert "Ranked by score" in captured.out


def test_compare_names_the_broken_layer(folder, capsys):
    """A line a layer, exit status 1, and the name in the last line."""
    assert run(["compare", "epoch-1.pt", "scaled.pt", "--junit", "ci.xml"]) == 1
    out = capsys.readouterr().out
    assert "scaled by 10" in out
    assert out.splitlines()[-1] == "1 of 3 layers broken: 1"
    suite = ET.parse("ci.xml").getroot()
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["1"]


def test_compare_is_quiet_where_all_is_well(folder, capsys):
    """Exit status 0, with one line where no more is asked for."""
    assert run(["compare", "epoch-1.pt", "epoch-2.pt", "--quiet"]) == 0
    assert capsys.readouterr().out == "No layer is broken; 3 changed.\n"


def test_compare_for_programs(folder, capsys):
    """JSON with every layer; stricter thresholds make alerts."""
    assert run(["compare", "epoch-1.pt", "epoch-2.pt", "--json", "--threshold", "distance=0.005"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    assert [layer["name"] for layer in answer["layers"]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["epoch-1.pt", "gone.pt"], "No such file: gone.pt"),
        (["epoch-1.pt", "./epoch-1.pt"], "The reference and the candidate are one file: epoch-1.pt"),
        (["epoch-1.pt", "other.npz"], "have no layer of the same name and shape"),
        (
            ["epoch-1.pt", "epoch-2.pt", "--threshold", "distance"],
            "`--threshold` must read NAME=NUMBER, got 'distance'",
        ),
        (["epoch-1.pt", "epoch-2.pt", "--threshold", "size=1"], "`--threshold` must be one of distance, shift"),
        (["epoch-1.pt", "epoch-2.pt", "--threshold", "distance=-1"], "`distance` must be a finite number above 0"),
    ],
)
def test_bad_input_of_compare(arguments, message, folder, capsys):
    """One line on stderr and exit status 2."""
    assert run(["compare", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
