"""`wwopt rank`: its table, JSON, CSV and exit statuses."""

import io
import json

import pandas as pd
import pytest

from wwopt.cli import run


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
        (["epoch-1.pt", "epoch-2.pt", "gone.pt"], ["gone.pt: no such file or folder"]),
        (["epoch-1.pt", "./epoch-1.pt"], ["epoch-1.pt, ./epoch-1.pt: one network under several names"]),
        (["epoch-1.pt", "epoch-2.pt", "empty"], ["empty: holds no checkpoint, and no folder that does"]),
        (["epoch-1.pt", "epoch-2.pt", "hf://org"], ["org: A name on the hub must read `hf://org/name`"]),
        (
            ["epoch-1.pt", "other.npz"],
            ["epoch-1.pt: no layer in common with any other candidate", "other.npz: no layer in common"],
        ),
        (["empty"], ["None of the candidates can be ranked: empty: holds no checkpoint, and no folder that does"]),
        (
            ["empty", "nowhere/"],
            ["empty: holds no checkpoint, and no folder that does; nowhere: no such file or folder"],
        ),
        (["nowhere/"], ["None of the candidates can be ranked: nowhere: no such file or folder"]),
        (["epoch-1.pt"], ["`candidates` must be at least two networks, got 1. For one, use `analyze`."]),
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
