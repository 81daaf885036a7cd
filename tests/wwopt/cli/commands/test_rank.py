"""`wwopt rank`: its table, JSON, CSV and exit statuses."""

import io
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from wwopt.cli import run


def test_rank_prints_the_best_first_and_why(folder, capsys):
    """The metric, its reason, the interval and the tie are said."""
    nudged = {name: 1.001 * value for name, value in torch.load("epoch-1.pt").items()}
    torch.save(nudged, "again.pt")  # a network ties with itself at another scale
    assert run(["rank", "epoch-1.pt", "again.pt"]) == 0
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


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Exported networks that learned digits for longer and longer, with inputs, losses, weights and answers."""
    monkeypatch.chdir(tmp_path)
    images, classes = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    images, losses, answers = images.float() / 16, {}, {}
    for steps in (4, 8, 12, 20, 40, 80):
        torch.manual_seed(steps)
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), classes)
            loss.backward()
            optimizer.step()
        batch = {0: torch.export.Dim("batch")}
        torch.export.save(torch.export.export(model, (images[:3],), dynamic_shapes=(batch,)), f"{steps}.pt2")
        torch.save(model.state_dict(), f"{steps}.pt")
        losses[f"{steps}.pt2"] = loss.item()
        answers[f"{steps}.pt"] = model(images).detach().numpy()
    np.save("x.npy", images.numpy())
    np.savez("pairs.npz", x=images.numpy(), labels=classes.numpy())
    np.savez("answers.npz", **answers)
    (tmp_path / "losses.json").write_text(json.dumps(losses))
    lines = ["name,loss", *(f"{name},{loss}" for name, loss in losses.items())]
    (tmp_path / "losses.csv").write_text("\n".join(lines))
    return [str(path.name) for path in sorted(tmp_path.glob("*.pt2"))]


@pytest.mark.slow
def test_rank_by_answers(programs, capsys):
    """Exported programs are asked; losses from JSON and CSV are the same; the rung and the columns are said."""
    assert run(["rank", *programs, "--inputs", "x.npy", "--losses", "losses.json"]) == 0
    out = capsys.readouterr().out
    assert "from weights, unlabelled inputs and the training loss" in out
    assert "agreement" in out
    answers = []
    for losses in ("losses.json", "losses.csv"):
        assert run(["rank", *programs, "--inputs", "pairs.npz", "--with-labels", "--losses", losses, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    assert answers[0]["best"] == "80.pt2"
    assert answers[0]["rung"] == "inputs and loss"
    assert answers[0]["can_tell"] is True
    assert 0 <= answers[0]["contradiction"] < 0.2
    weights = [name.removesuffix("2") for name in programs]
    assert run(["rank", *weights, "--answers", "answers.npz", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["rung"] == "inputs"
    assert {row["name"] for row in given["table"]} == set(weights)


@pytest.mark.slow
def test_bad_evidence_is_one_line(programs, capsys):
    """Files of weights cannot be asked, and files of evidence may be missing, torn or of strangers."""
    for name, content in (
        ("torn.npz", b"PK"),
        ("torn.npy", b""),
        ("list.json", b"[1]"),
        ("short.csv", b"name,loss\na"),
    ):
        pathlib.Path(name).write_bytes(content)
    np.savez("strangers.npz", somebody=np.arange(9))
    weights = [name.removesuffix("2") for name in programs]
    for arguments, message in (
        ([*weights, "--inputs", "x.npy"], "a file of weights cannot be run: give the module to `wwopt.rank`"),
        ([*programs, "--inputs", "gone.npy"], "No such file: gone.npy"),
        ([*programs, "--inputs", "torn.npy"], "torn.npy is not a readable npy file"),
        ([*programs, "--inputs", "losses.csv"], "`--inputs` must be an .npy or .npz file, got losses.csv"),
        ([*programs, "--answers", "torn.npz"], "torn.npz is not a readable npz archive"),
        ([*programs, "--answers", "strangers.npz"], "`answers` must be of candidates, which somebody are not"),
        (
            [*programs, "--losses", "list.json"],
            "`--losses` must hold a name and a number for each network, and list.json",
        ),
        ([*programs, "--losses", "short.csv"], "`--losses` must hold a name and a number for each network, and short"),
    ):
        assert run(["rank", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
