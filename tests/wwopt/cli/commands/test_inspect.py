"""`wwopt inspect`: its table, its JSON and its exit status."""

import json

from wwopt.cli import run


def test_inspect_lists_layers_and_what_is_left_out(checkpoint, capsys):
    """The type, the shape and the reason; the sums below."""
    assert run(["inspect", str(checkpoint)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "0 dense float32 64 x 80 80 x 64 64 5.1 k" in out
    assert "3 eigenvalues, fewer than min_evals=50" in out
    assert "1 of 2 weight matrices would be analysed, 5.1 k of 5.4 k parameters" in out


def test_inspect_json(checkpoint, capsys):
    """A program gets the same."""
    assert run(["inspect", str(checkpoint), "--json", "--min-evals", "2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [layer["reason"] for layer in answer["layers"]] == ["", ""]
    assert answer["parameters"] == 80 * 64 + 64 + 64 * 3 + 3


def test_inspect_of_nothing(tmp_path, capsys):
    """What cannot be read is one line, and exit status 2."""
    assert run(["inspect", str(tmp_path / "missing.pt")]) == 2
    assert "missing.pt" in capsys.readouterr().err
