"""Files of a release: fragments that towncrier collects, and the citation's version."""

from __future__ import annotations

import tomllib
from pathlib import Path

import wwopt

ROOT = Path(__file__).parents[2]


def test_fragments_are_of_a_known_kind():
    """Each is called NUMBER.KIND.md or +WORD.KIND.md: towncrier passes over any other without a word."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in settings["type"]}
    fragments = [path.name for path in (ROOT / settings["directory"]).iterdir() if path.name not in settings["ignore"]]
    assert {name.split(".")[1] for name in fragments} <= kinds
    assert settings["start_string"] in (ROOT / settings["filename"]).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version():
    """It has the version of the package."""
    assert f"\nversion: {wwopt.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
