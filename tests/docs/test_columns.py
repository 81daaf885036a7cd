"""The page on the columns describes every column, as the code declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wwopt.analysis import COLUMNS
from wwopt.metrics import METRICS
from wwopt.powerlaw import ESTIMATORS

DOCS = Path(__file__).parents[2] / "docs"


def described():
    """Rows of the page's tables by the name in their first column."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:3] == "| `"]
    return {row[0].strip("| `"): row for row in rows}


def test_every_column_is_described():
    """The page has a row for each column, and none for a column that does not exist."""
    assert set(described()) - set(ESTIMATORS) == set(COLUMNS)


@pytest.mark.parametrize("name", METRICS)
def test_a_column_is_described_as_declared(name):
    """Unit, direction and source on the page are those of the code."""
    metric = METRICS[name]
    _, unit, direction, _, source = described()[name]
    assert unit == metric.unit
    assert direction == {True: "higher", False: "lower", None: "-"}[metric.higher_is_better]
    assert source.rstrip(" |") == metric.source


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_is_described_as_declared(name):
    """The range on the page is the one that the warnings use."""
    _, low, high, *_ = described()[name]
    estimator = ESTIMATORS[name]
    assert float(low) == pytest.approx(estimator.low, abs=1e-6)
    assert float(high) == estimator.high
