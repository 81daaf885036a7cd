"""The page for contributors names files that exist and targets that make has."""

from __future__ import annotations

import re

import pytest

from tests.structure.packages import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WRITTEN = {"site/"}  # by `make docs`
PATHS = sorted(set(re.findall(r"`([\w.]+(?:/[\w.]*)+)`", PAGE)) - WRITTEN)
TARGETS = sorted(set(re.findall(r"`make (\w+)", PAGE)))


@pytest.mark.parametrize("path", PATHS)
def test_path_exists(path):
    """A path that the page names is there, from the root or from the package that the sentence names."""
    folders = ROOT, ROOT / "trackers" / "wwopt_trackers"
    assert any((folder / path).exists() for folder in folders)


@pytest.mark.parametrize("target", TARGETS)
def test_target_exists(target):
    """A target that the page names is in the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
