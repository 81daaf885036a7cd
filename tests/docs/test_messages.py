"""Messages on the page for troubleshooting: each is one that the code gives."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "..."  # stands for a name or a number


def text_of(node):
    """Text of a string in the code, with a gap for each placeholder; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sdr]", GAP, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
    return None


@cache
def strings():
    """All strings of the three packages."""
    files = [file for folder in ("wwopt", "objectives", "trackers") for file in (ROOT / folder).rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return sorted({text for node in nodes if (text := text_of(node))})


def messages():
    """Terms of the page's lists that are messages: code alone on a line, with the words that surround the gaps."""
    terms = re.findall(r"^(?:`([^`\n]+)`|`` (.+) ``)\n:", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [one or two for one, two in terms]


def test_the_page_has_messages():
    """The terms are found."""
    assert len(messages()) > 40


@pytest.mark.parametrize("message", messages())
def test_the_code_gives_the_message(message):
    """The words between the gaps stand in one string of the code, in their order."""
    pattern = re.compile(".*".join(re.escape(part) for part in message.split(GAP)), re.DOTALL)
    assert any(pattern.search(text) for text in strings())
