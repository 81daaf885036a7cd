"""The evidence on real searches: what was chosen is a trial of its own, and regret is measured from the best."""

from dataclasses import replace

import pytest
import torch

from benchmarks.selection import searches
from benchmarks.selection.store import read_record
from benchmarks.selection.tasks import TASKS

pytestmark = pytest.mark.slow
NAME = "photos-cnn"
TINY = replace(TASKS[NAME], epochs=(1, 1), batches=(64,))


@pytest.fixture
def few_trials(monkeypatch):
    monkeypatch.setattr(searches, "TRIALS", 3)
    monkeypatch.setitem(searches.TASKS, NAME, TINY)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each process of the command does
    yield
    torch.set_num_threads(threads)


def test_searches_run_and_the_page_names_what_was_lost(few_trials, tmp_path):
    guides = ("training loss", "both")
    for guide in guides:
        searches.run_search(NAME, guide, 0, tmp_path)
        record = read_record(tmp_path / NAME / f"{guide.replace(' ', '-')}-0.json")
        assert set(record["chosen"]) == set(searches.CHOICES)
        assert len(record["trials"]) == 3
        assert all(record["trials"][number] is not None for number in record["chosen"].values())
    page = searches.page(searches.read_searches(tmp_path))
    assert all(f"| {guide} | 1 |" in page for guide in guides)


def test_regret_is_measured_from_the_best_trial_of_any_search():
    records = [
        {"task": NAME, "guide": guide, "seed": 0, "epochs": 1.0, "chance": 0.2, "trials": trials, "chosen": chosen}
        for guide, trials, chosen in (
            ("AlphaScore", [0.3, 0.6, None], dict.fromkeys(searches.CHOICES, 1)),
            ("random", [0.7, 0.2], dict.fromkeys(searches.CHOICES, 1)),
        )
    ]
    assert searches.table(records).splitlines()[2:] == [
        "| AlphaScore | 1 | 100% | 20.0 / 20.0 | 20.0 / 20.0 | 20.0 / 20.0 | 20.0 / 20.0 |",
        "| random | 1 | 100% | 100.0 / 100.0 | 100.0 / 100.0 | 100.0 / 100.0 | 0.0 / 0.0 |",
    ]
