"""`wwopt compare`, as a user and a CI meet it."""

import json
import xml.etree.ElementTree as ET

import pytest

from wwopt.cli import run


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
