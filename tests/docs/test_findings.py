"""The page on the findings shows the catalogue as the code has it.

``python -m tests.docs.test_findings`` writes the table into the page.
"""

from __future__ import annotations

import re
from pathlib import Path

from wwopt.diagnosis import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
PLACE = re.compile(r"(?<=test_findings` -->\n).*(?=<!-- end -->)", re.DOTALL)


def table():
    """The catalogue as a table."""
    rows = [
        f"| `{rule.key}` | {rule.severity} | {rule.when} | {rule.advice} | {rule.source} |"
        for rule in CATALOGUE.values()
    ]
    head = [
        "| finding | severity | when | what it means, and what is commonly done | source |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(["", *head, *rows, "", ""])


def test_the_page_shows_the_catalogue():
    """Keys, severities, rules, advice and sources on the page are those of the code."""
    (shown,) = PLACE.findall(PAGE.read_text(encoding="utf-8"))
    assert shown == table(), "run `python -m tests.docs.test_findings`"


if __name__ == "__main__":
    PAGE.write_text(PLACE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
