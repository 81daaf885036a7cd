"""The page on speed says what was measured, whatever it was."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.engine.document import page
from benchmarks.engine.fuzz import Findings
from benchmarks.engine.memory import Memory
from benchmarks.engine.rounds import Work, compare
from benchmarks.engine.scaling import Scaling, draw

MEMORY = Memory(before=200.0, peak=300.0, largest=128.0)
FINDINGS = Findings(outcomes=Counter({("zip", "analysed"): 3, ("zip", "ValueError"): 7}), longest=0.02)
SCALING = Scaling(
    sides={"double": {64: 0.01, 128: 0.02, 4096: 8.0}, "single": {64: 0.01, 128: 0.02, 4096: 4.0}},
    counts={1: 0.01, 1000: 1.5},
    workers={1: 2.0, 2: 1.1},
)


@pytest.mark.parametrize(
    ("asked", "aimed", "verdict"),
    [
        (1e9, 1e9, "Below what is asked: a work."),
        (0.0, 1e9, "Everything that is asked is met. Below the aim: a work."),
        (0.0, 0.0, "Everything that is asked is met. So is every aim."),
    ],
)
def test_page_says_what_was_measured(asked, aimed, verdict):
    """The table shows asked, aimed and measured; what falls short is named."""
    result = compare(Work("a work", lambda: sum(range(1000)), lambda: sum(range(9000)), asked, aimed, rounds=3))
    text = page("a machine", [result], MEMORY, FINDINGS, SCALING, minutes=9.6)
    assert f"| a work | {result.ours:.3f} |" in text
    assert f"\n{verdict}" in text
    assert "takes 300 MB over an interpreter with torch (200 MB); asked at most 584 MB" in text
    assert "Of 10 damaged files of 1 formats (`python -m benchmarks.engine.fuzz`) 3 were analysed, 7\n" in text
    assert "| double, s | 0.01 | 0.02 | 8 |" in text


def test_picture_shows_all_three():
    """A panel for the side, with both precisions; one for layers; one for workers."""
    axes = draw(SCALING).axes
    assert [len(panel.lines) for panel in axes] == [3, 1, 2]
    assert all(panel.get_xlabel() and panel.get_ylabel() == "seconds" for panel in axes)
