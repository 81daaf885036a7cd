"""The command line, as a user meets it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer

import wwopt
from wwopt.cli import run
from wwopt.cli.app import app


@pytest.fixture
def checkpoint(tmp_path):
    """A network with one layer large enough and one that is not."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(80, 64), torch.nn.Linear(64, 3))
    path = tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    return path


def test_analyze_prints_layers_and_score(checkpoint, capsys):
    """The table names the layer, what was left out, and the score with its terms."""
    assert run(["analyze", str(checkpoint)]) == 0
    out = capsys.readouterr().out
    assert "80 x 64" in out
    assert "left out: 1: 3 eigenvalues, fewer than min_evals=50" in out
    assert "AlphaScore" in out


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "missing.pt"], "No such file: missing.pt"),
        (["analyze", "model.pt", "--min-evals", "1"], "`min_evals` must be at least 2, got 1"),
        (["analyze"], "Missing argument"),
        (["analyse", "x"], "No such command 'analyse'. Did you mean 'analyze'?"),
        (["demo", "--trials", "0"], "greater than or equal to 1"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, checkpoint, capsys, monkeypatch):
    """Exit status 2 and one line on stderr that says what is wrong."""
    monkeypatch.chdir(checkpoint.parent)
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("wwopt: ")
    assert err.count("\n") == 1
    assert message in err


def test_unreadable_checkpoint(tmp_path, capsys):
    """A damaged file is named, with exit status 2."""
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"\x10\x00\x00")
    assert run(["analyze", str(path)]) == 2
    assert "damaged.safetensors is not a readable safetensors file" in capsys.readouterr().err


def test_help_and_version(capsys):
    """Help lists the commands with an example, and the version is the package's."""
    assert run(["--help"]) == 0
    assert "demo" in capsys.readouterr().out
    assert run(["demo", "--help"]) == 0
    assert "wwopt demo --trials 40" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"wwopt {wwopt.__version__}\n"


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
    assert run(["analyze", str(checkpoint), *arguments, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in answer["details"]] == ["degenerate"]
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


def test_every_help_page_teaches_by_example(capsys):
    """Each command shows its own use, and `wwopt --help` where to begin."""
    for command in typer.main.get_command(app).commands:
        assert run([command, "--help"]) == 0
        page = capsys.readouterr().out
        assert f"wwopt {command}" in page.partition("Examples:")[2]


def test_completion_is_offered_and_light():
    """A shell asks for the commands that begin with what was typed, and waits for no library."""
    code = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); from wwopt.cli import run; run([])"
    )
    environment = {"_WWOPT_COMPLETE": "complete_bash", "COMP_WORDS": "wwopt an", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["analyze", "False"]


def test_a_reader_that_has_seen_enough_is_no_error(checkpoint):
    """`wwopt analyze ... --json | head -1` ends without a word on stderr."""
    command = f"'{sys.executable}' -m wwopt analyze '{checkpoint}' --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_how_to_get_it(missing):
    """One line on stderr and exit status 2, no traceback."""
    done = without(missing, "from wwopt.__main__ import main; sys.exit(main())")
    assert done.returncode == 2
    assert done.stderr == "wwopt: the command line needs typer and rich. Run `pip install 'wwopt[cli]'`.\n"


@pytest.mark.parametrize("missing", ["optuna", "mlflow", "sklearn", "matplotlib"])
def test_the_demo_without_its_extra(missing):
    """The demo says which extra it needs before it writes anything."""
    done = without(missing, "from wwopt.cli import run; sys.exit(run(['demo', '--trials', '1']))")
    assert done.returncode == 2
    assert done.stderr == f"wwopt: `wwopt demo` needs {missing}. Run `pip install 'wwopt[demo]'`.\n"


def test_objectives_without_optuna():
    """Importing the objectives without Optuna says which extra is missing."""
    done = without("optuna", "import wwopt_objectives")
    assert "ImportError: wwopt_objectives needs Optuna. Run `pip install 'wwopt[optuna]'`." in done.stderr


def without(package, code):
    """Run code in a process in which a package cannot be imported."""
    block = (
        "import sys, importlib.machinery as machinery\n"
        "class Finder(machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        return None if name.split('.')[0] == {package!r} else super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(machinery.PathFinder)] = Finder\n"
    )
    return subprocess.run(
        [sys.executable, "-c", block + code], capture_output=True, text=True, timeout=120, check=False
    )
