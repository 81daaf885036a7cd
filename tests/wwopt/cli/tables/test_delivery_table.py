"""What `wwopt verify` prints of its findings."""

import json
import math
from pathlib import Path

import pytest

from wwopt.cli.tables.delivery_table import print_verified, verified_json
from wwopt_trackers import Verified

POINTS = tuple(("ww/score", step, 1000 + step, step / 2) for step in range(7))


@pytest.fixture
def found():
    """A run that is complete, and one that lacks seven points and has one twice."""
    whole = Verified(Path("a.db"), "sound", "1", points=9, missing=(), duplicated=(), unwritten=(), message="")
    double = (("ww/alpha", 3, 1003, math.nan),)
    torn = Verified(Path("b.db"), "[red]", "2", points=9, missing=POINTS, duplicated=double, unwritten=(4,), message="")
    return [whole, torn]


def test_all_runs_with_a_total(found, capsys):
    """Five points of a fault are named, the others counted; a name is not taken for markup."""
    print_verified(found, remarks=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sound: 9 points, 0 missing, 0 duplicated"
    assert lines[1] == "[red]: 9 points, 7 missing, 1 duplicated, no spectra of 1 steps"
    assert lines[2] == "  missing: ww/score = 0 at step 0"
    assert lines[7] == "  and 2 more; `--json` has all"
    assert lines[-1] == "18 points in 2 runs: 7 missing, 1 duplicated"


def test_quiet_names_runs_at_fault_only(found, capsys):
    """No sound run, and no total."""
    print_verified(found, remarks=False)
    out = capsys.readouterr().out
    assert "sound" not in out
    assert "in 2 runs" not in out


def test_nan_is_null(found):
    """JSON has no NaN."""
    (_, torn) = json.loads(json.dumps(verified_json(found), allow_nan=False))
    assert torn["duplicated"] == [["ww/alpha", 3, 1003, None]]
    assert len(torn["missing"]) == 7
