"""The evidence on `rank`: correlations, and a short series that is trained and ranked."""

import zipfile
from dataclasses import replace

import pandas as pd
import pytest
import torch

from benchmarks.ranking import __main__ as ranking
from benchmarks.ranking import pretrained, series
from benchmarks.ranking.pretrained import PublishedSeries
from benchmarks.ranking.series import BASE, SERIES, train_series
from wwopt.ranking import Ranking


def test_size_is_partialled_out():
    """A number that says no more than size has no correlation left; one that says more keeps it."""
    size, errors = pd.Series([1.0, 2, 3, 4]), pd.Series([4.0, 2, 3, 1])
    assert ranking.partial_tau(size, errors, size) != ranking.partial_tau(size, errors, size)  # NaN: nothing varies
    assert ranking.partial_tau(errors, errors, size) == pytest.approx(1)
    assert ranking.tau(size, errors) == pytest.approx(-2 / 3)


def test_pretrained_series_are_ranked_from_wheels(tmp_path, monkeypatch):
    """The networks of a series are found in their wheels; a tie and a wrong order are told as such."""
    states = {"a": torch.eye(60) + 0.1 * torch.randn(60, 60), "b": torch.randn(60, 60)}
    for name, weight in states.items():
        torch.save({"fc.weight": weight}, tmp_path / "m.pth")
        with zipfile.ZipFile(tmp_path / f"net_{name}-1.0.whl", "w") as wheel:
            wheel.write(tmp_path / "m.pth", f"net_{name}/data/m.pth")
    figures = {"a": 3.0, "b": 2.0}
    members = {name: (f"net_{name}", "m.pth", figure) for name, figure in figures.items()}
    monkeypatch.setattr(pretrained, "PUBLISHED", {"net": PublishedSeries("error", members)})
    row = pretrained.pretrained(tmp_path).splitlines()[-1]
    assert row.startswith("| net | error | b 2, a 3 | ")
    assert pretrained.told(PublishedSeries("error", members), _ranking("a")) == "a, which is not the best"
    assert pretrained.told(PublishedSeries("accuracy", members, higher=True), _ranking("a")) == "the best"
    assert pretrained.told(PublishedSeries("error", members), _ranking("a", tied=True)) == "a tie of a, b"


def _ranking(best, tied=False):
    names = [best, *{"a", "b"} - {best}]
    table = pd.DataFrame({"status": "ranked", "tied": tied, "rank": [1, 2]}, index=pd.Index(names, name="name"))
    return Ranking(table, "score", "")


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
