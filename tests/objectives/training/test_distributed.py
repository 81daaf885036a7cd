"""A real group of two processes: rank 0 evaluates, and both get the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DEADLINE = 300
RANKS = Path(__file__).parents[2] / "support" / "distributed_ranks.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, RANKS, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"rank-{number}.json").read_text()) for number in (0, 1)]


def test_all_ranks_get_the_report_of_rank_zero(found):
    """Rank 1 holds a collapsed network here, and gets the report on the healthy one on rank 0."""
    assert found[0]["score"] == found[1]["score"]


def test_all_ranks_stop_together(found):
    """The pruner's decision, which rank 0 alone can make, ends both trainings after the same epoch."""
    assert found[0]["epochs"] == found[1]["epochs"] == 1
    assert found[0]["reason"] == found[1]["reason"]
    assert found[0]["reason"].startswith("collapsed: a stable rank")


def test_only_the_rank_with_the_trial_prunes_it(found):
    """`result` raises where the trial is; the other rank has nothing to tell Optuna."""
    assert found[0]["result"].startswith("TrialPruned: collapsed")
    assert found[1]["result"] is None


def test_what_fails_on_rank_zero_fails_everywhere(found):
    """No rank is left waiting."""
    assert found[0]["failed"] == found[1]["failed"] == "ZeroDivisionError: integer division or modulo by zero"


def test_freezing_is_refused(found):
    """Processes would wait for gradients that do not come."""
    assert found[0]["frozen"].startswith("RuntimeError: Layers cannot be frozen while several processes")
