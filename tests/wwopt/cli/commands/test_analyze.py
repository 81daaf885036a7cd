"""`wwopt analyze`: its table, its JSON, what it saves and what it exits with."""

import json

import numpy as np
import pytest
import torch

import wwopt
from wwopt.cli import run


def test_analyze_prints_layers_and_score(checkpoint, capsys):
    """The table names the layer, what was left out, and the score with its terms."""
    assert run(["analyze", str(checkpoint)]) == 0
    out = capsys.readouterr().out
    assert "80 x 64" in out
    assert "left out: 1: 3 eigenvalues, fewer than min_evals=50" in out
    assert "AlphaScore" in out


def test_what_was_not_measured_has_no_score(tmp_path, capsys):
    """A network of small layers is neither good nor broken: the reason instead of a score, and exit status 0."""
    path = tmp_path / "small.pt"
    torch.save(torch.nn.Linear(32, 16).state_dict(), path)
    assert run(["analyze", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Not measured, so there is no score" in out
    assert "Lower `min_evals` to 16 or less." in out
    assert "AlphaScore" not in out
    assert run(["analyze", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["score"] is None
    assert "16 eigenvalues" in answer["not_measured"]


def test_analyze_json_is_json(checkpoint, capsys, tmp_path):
    """A program gets every number, and the saved analysis is the same."""
    assert run(["analyze", str(checkpoint), "--json", "--out", str(tmp_path / "a.npz")]) == 0
    answer = json.loads(capsys.readouterr().out)
    analysis = wwopt.Analysis.load(tmp_path / "a.npz")
    assert answer["details"][0]["alpha"] == pytest.approx(analysis.details.loc[0, "alpha"])
    assert answer["score"] == pytest.approx(wwopt.AlphaScore()(analysis))


def test_a_broken_layer_is_a_finding(tmp_path, capsys):
    """Exit status 1, and the table says what is wrong."""
    weights = torch.randn(64, 64)
    weights[0, 0] = float("nan")
    torch.save({"fc.weight": weights}, tmp_path / "nan.pt")
    assert run(["analyze", str(tmp_path / "nan.pt")]) == 1
    assert "non-finite" in capsys.readouterr().out


def test_a_layer_without_a_power_law_is_no_failure(tmp_path, capsys):
    """An identity matrix, as recurrent layers begin with, is noted; the exit status is 0."""
    np.savez(tmp_path / "rnn.npz", **{"rnn.weight": np.eye(80)})
    assert run(["analyze", str(tmp_path / "rnn.npz")]) == 0
    assert "no-fit" in capsys.readouterr().out


def test_a_collapsed_layer_is_a_finding(tmp_path, capsys):
    """One direction that carries nearly all of a layer is a failure, and the table says so."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "net.npz", **{"fc.weight": np.ones((80, 60)) + 0.1 * rng.normal(size=(80, 60))})
    assert run(["analyze", str(tmp_path / "net.npz")]) == 1
    assert "collapsed" in capsys.readouterr().out


def test_unreadable_checkpoint(tmp_path, capsys):
    """A damaged file is named, with exit status 2."""
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"\x10\x00\x00")
    assert run(["analyze", str(path)]) == 2
    assert "damaged.safetensors is not a readable safetensors file" in capsys.readouterr().err


def test_quiet_leaves_remarks_out(checkpoint, capsys):
    """What was left out is a remark; the layers and the score are the result."""
    assert run(["analyze", str(checkpoint), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "80 x 64" in out
    assert "left out" not in out


def test_analyze_takes_what_the_function_takes(checkpoint, capsys):
    """Patterns, limits, a base and a cache reach the engine: the difference of a network to itself is zero."""
    arguments = [
        "--confidence",
        ".9",
        "--precision",
        "single",
        "--base",
        str(checkpoint),
        "--include",
        "0*",
        "--max-evals",
        "64",
        "--cache",
        str(checkpoint.parent),
    ]
    assert run(["analyze", str(checkpoint), *arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in answer["details"]] == ["degenerate"]
    assert [(finding["key"], finding["severity"]) for finding in answer["findings"]] == [("unchanged", "note")]
    assert answer["skipped"] == [{"name": "1", "reason": "not in `include`"}]


def test_tables_fit_where_they_are_read(tmp_path, monkeypatch, capsys):
    """In eighty columns the names and alphas are whole; a program that reads a pipe gets every column on one line."""
    name = "model.decoder.layers.7.self_attention.query"
    np.savez(tmp_path / "net.npz", **{f"{name}.weight": np.random.default_rng(0).normal(size=(80, 60))})
    assert run(["analyze", str(tmp_path / "net.npz")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if name in line)
    assert line.split()[1:5] == ["dense", "80", "x", "60"]
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["analyze", str(tmp_path / "net.npz")]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.partition("AlphaScore")[0].splitlines())) <= 80
    assert name in "".join(line[:30].strip() for line in out.splitlines())
    assert "…" not in out


def test_names_are_shown_and_not_obeyed(tmp_path, capsys):
    """Markup and escape sequences in a layer's name reach neither the table's layout nor the terminal."""
    weights = torch.randn(64, 64)
    torch.save({"[/red]\x1b[2J.weight": weights, "[bold]tiny\x1b]0;x.weight": torch.eye(3)}, tmp_path / "net.pt")
    assert run(["analyze", str(tmp_path / "net.pt")]) == 0
    out = capsys.readouterr().out
    assert r"[/red]\x1b[2J" in out
    assert r"left out: [bold]tiny\x1b]0;x" in out
    assert "\x1b" not in out
    assert run(["analyze", "gone\x1b[2J.pt"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_many_weights_left_out_for_one_reason_are_one_line(tmp_path, capsys):
    """The reason is said once with how many it concerns; `--json` names them all."""
    tiny = {f"tiny.{i}.weight": np.eye(3) for i in range(9)}
    np.savez(tmp_path / "net.npz", **tiny, **{"fc.weight": np.random.default_rng(0).normal(size=(80, 60))})
    run(["analyze", str(tmp_path / "net.npz")])
    assert "left out: 9 weights, tiny.0 the first: 3 eigenvalues" in capsys.readouterr().out
    run(["analyze", str(tmp_path / "net.npz"), "--json"])
    assert len(json.loads(capsys.readouterr().out)["skipped"]) == 9
