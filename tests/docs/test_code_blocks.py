"""Code on the pages: every Python block runs as it stands, and every command that is shown exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from wwopt.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("optunahub/**/README.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONTINUES = "The Python blocks on this page build on each other"  # what such a page tells its reader
HUB = "optunahub.load_module("  # downloads a published package; here its folder is loaded
FOLDER = f"optunahub.load_local_module(registry_root={str(ROOT / 'optunahub' / 'package')!r}, package="
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # networks this small only wait for a second thread


def blocks(page, language):
    """Blocks of a page as (first line's number, text)."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(2)), found[2]) for found in FENCE.finditer(text) if found[1] == language]


def programs(page):
    """Programs of a page, each with the lines where the page has them, so that a traceback names the page's line."""
    found = blocks(page, "python")
    groups = [found] if CONTINUES in page.read_text(encoding="utf-8") else [[block] for block in found]
    for group in filter(None, groups):
        lines: list[str] = []
        for start, text in group:
            lines += [""] * (start - len(lines)) + text.splitlines()
        yield pytest.param("\n".join(lines), id=f"{page.relative_to(ROOT)}:{group[0][0] + 1}")


def shell_lines():
    """Lines that a page shows for a shell, with continued ones joined and comments left out."""
    for page in PAGES:
        for language in ("", "shell", "yaml"):
            for _, text in blocks(page, language):
                for line in text.replace("\\\n", "").splitlines():
                    command = line.removeprefix("      - run: ").partition(" | ")[0]
                    if re.match(r"(wwopt [a-z]|make |python -m )", command):
                        yield pytest.param(shlex.split(command, comments=True), id=f"{page.name}: {command}")


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for page in PAGES for program in programs(page)])
def test_python_blocks_run(program, tmp_path):
    """A block, or the blocks of a page that says that they build on each other, run in an empty folder."""
    file = tmp_path / "page.py"
    file.write_text(program.replace(HUB, FOLDER), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, file],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", list(shell_lines()))
def test_shell_commands_exist(command):
    """Commands and options of `wwopt`, targets of make, and modules that are run are there."""
    program, *arguments = command
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program == "python":
        assert arguments[0] == "-m"
        assert find_spec(arguments[1]) is not None
    elif not arguments[0].startswith("-"):
        group = typer.main.get_command(app)
        group.commands[arguments[0]].make_context(arguments[0], arguments[1:])
