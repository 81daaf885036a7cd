"""The application: usage, help, completion, pipes and missing extras."""

import os
import subprocess
import sys

import pytest
import typer

import wwopt
from tests.support.waiting import DEADLINE
from wwopt.cli import run
from wwopt.cli.app import app


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


def test_help_and_version(capsys):
    """Help lists the commands with an example, and the version is the package's."""
    assert run(["--help"]) == 0
    assert "demo" in capsys.readouterr().out
    assert run(["demo", "--help"]) == 0
    assert "wwopt demo --trials 40" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"wwopt {wwopt.__version__}\n"


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
        [sys.executable, "-c", block + code], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
