"""The tables on choosing by answers: crowds, what is planted in them, and searches."""

import math

import numpy as np
import pytest

from benchmarks.selection.consensus import (
    METHODS,
    PLANTED,
    TROUBLED,
    Crowd,
    acceptance,
    measures,
    searches,
    summarised,
    table,
)
from benchmarks.selection.measures import best_third
from tests.wwopt.consensus import crowds
from wwopt.consensus import sketch

KNOWS = [0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.0]


@pytest.fixture(scope="module")
def crowd():
    networks = crowds.Crowd(KNOWS, seed=4)
    quality = np.array(KNOWS) / max(KNOWS)
    return Crowd(
        name="digits", kind="classes", answers=networks.answers, sketches=[sketch(one) for one in networks.logits],
        losses=networks.losses, scores=np.linspace(1, 5, 14), sound=np.ones(14, dtype=bool), labels=networks.labels,
        quality=np.where(quality <= 0.1, 0.0, quality), collapsed=quality <= 0.1,
    )  # fmt: skip


def test_measures_of_the_right_order_and_of_its_reverse(crowd):
    """The order of merit has tau 1 and no regret, its reverse the opposite."""
    places = np.arange(14.0)
    right, wrong = measures(places, crowd.quality), measures(-places, crowd.quality)
    assert right["regret"] == 0
    assert wrong["regret"] == 100
    assert right["tau_third"] == -wrong["tau_third"] == 1
    assert right["tau"] == -wrong["tau"] > 0.98
    assert best_third(np.zeros(14), crowd.quality) == 0


def test_what_is_planted(crowd):
    """Twelve twins are twelve copies; of the good half three remain, or one; the best fitted are a quarter."""
    sizes = {name: len(plant(crowd).quality) for name, plant in PLANTED.items()}
    assert list(sizes.values()) == [14, 26, 10, 8, 6]
    one = PLANTED["one good among bad"](crowd)
    assert one.quality[0] == crowd.quality.max()
    assert (one.quality[1:] <= np.median(crowd.quality)).all()
    twins = PLANTED["twelve twins of a mediocre network"](crowd)
    assert len(set(map(tuple, twins.answers[14:].tolist()))) == 1


def test_methods_choose_in_the_same_searches(crowd):
    """Each search is of the same networks for every method, and one of all networks has the regret of all."""
    found = searches(crowd, 14, draws=3)
    for name, method in METHODS.items():
        assert found[name]["mean"] == pytest.approx(measures(method(crowd), crowd.quality)["regret"])
    assert searches(crowd, 8, draws=5) == searches(crowd, 8, draws=5)


def test_tables_have_a_row_for_each_method(crowd):
    """A row for each method, finite numbers throughout."""
    rows = summarised([crowd], draws=2)
    lines = table(rows, list(rows["inputs"]), "chosen by").splitlines()
    assert len(lines) == 2 + len(METHODS)
    assert all(math.isfinite(value) for row in rows.values() for value in row.values())
    names = [name for name, _ in acceptance([crowd])]
    assert names == list(PLANTED)


def test_plain_vote_is_taken_in_by_twins_and_ours_is_not(crowd):
    """The table can fail: a plain vote chooses the planted twin."""
    twins = PLANTED["twelve twins of a mediocre network"](crowd)
    assert measures(METHODS["plain vote"](twins), twins.quality)["regret"] > 20
    assert measures(METHODS["inputs and loss"](twins), twins.quality)["regret"] < 5


def test_troubled_tasks_have_the_labels_that_they_say():
    """A share of the labels is wrong at random, or of the next class; two classes are frequent."""
    clean = TROUBLED["digits-wrong5"].data().train.y
    for name, share in (("digits-wrong40", 0.38), ("digits-next40", 0.38), ("digits-wrong20", 0.17)):
        wrong = TROUBLED[name].data().train.y
        assert (wrong != clean).float().mean() == pytest.approx(share, abs=0.06)
    after = TROUBLED["digits-next40"].data().train.y
    moved = ((after - clean) % 10).float()
    assert (moved == 1).float().mean() > 0.3
    counts = np.bincount(TROUBLED["digits-imbalanced"].data().train.y, minlength=10)
    assert counts.tolist() == [45, 45, *[8] * 8]
