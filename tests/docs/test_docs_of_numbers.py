"""What the pages on numbers say is so: differences from WeightWatcher are run, and every column is described."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from wwopt.analysis import COLUMNS
from wwopt.metrics import METRICS
from wwopt.powerlaw import ESTIMATORS

DOCS = Path(__file__).parents[2] / "docs"


def test_differences_from_weightwatcher():
    """Every code block of the page runs, one after the other, and its assertions hold of both libraries."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "differences.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 10
    names: dict[str, object] = {"__name__": "differences"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # WeightWatcher's own
        for block in blocks:
            exec(compile(block, block, "exec"), names)


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
