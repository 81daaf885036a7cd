"""Damaged files of every format: an analysis or a documented error, in bounded processor time and memory."""

from __future__ import annotations

import pytest

pytest.importorskip("resource", reason="memory is limited by the system's own means")


def test_damaged_files(tmp_path):
    """Of 20 damaged files of each format each is analysed or refused by name; both happen, for every format."""
    from benchmarks.engine.fuzz import fuzz
    from benchmarks.engine.mutations import SEEDS

    findings = fuzz(cases=20 * len(SEEDS), seed=0, keep=tmp_path)
    assert not findings.wrong, str(findings)
    assert set(findings.outcomes) == {(name, outcome) for name in SEEDS for outcome in ("analysed", "ValueError")}
