"""The evidence on `rank`: correlations, and a short series that is trained and ranked."""

from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.ranking import __main__ as ranking
from benchmarks.ranking import series
from benchmarks.ranking.series import BASE, SERIES, train_series


def test_size_is_partialled_out():
    """A number that says no more than size has no correlation left; one that says more keeps it."""
    size, errors = pd.Series([1.0, 2, 3, 4]), pd.Series([4.0, 2, 3, 1])
    assert ranking.partial_tau(size, errors, size) != ranking.partial_tau(size, errors, size)  # NaN: nothing varies
    assert ranking.partial_tau(errors, errors, size) == pytest.approx(1)
    assert ranking.tau(size, errors) == pytest.approx(-2 / 3)


@pytest.mark.slow
def test_a_short_series_is_judged(monkeypatch):
    """More epochs make a smaller error and a better score, and the table's row has every baseline."""
    monkeypatch.setitem(SERIES, "epochs", [replace(BASE, epochs=epochs, images=200) for epochs in (1, 6)])
    members = list(train_series("epochs", 0))
    assert members[1].error < members[0].error
    row = ranking.judge(members)
    assert row["metric"] == "score"
    assert set(ranking.BASELINES) <= set(row)
    assert row["loss"] == pytest.approx(1)
    assert max(recipe.images for recipes in SERIES.values() for recipe in recipes) <= series.TRAINING
