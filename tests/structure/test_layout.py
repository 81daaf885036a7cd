"""Where files lie and what they and the classes in them are called."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict

import pytest

from tests.structure.packages import PACKAGES, ROOT, files

PROGRAMS = {"__init__.py", "__main__.py"}  # the names that Python gives
PARALLEL = ROOT / "trackers" / "wwopt_trackers" / "backends"  # one room a backend, of like shape
COMMANDS = ROOT / "wwopt" / "cli" / "commands"  # a command has the name of the function that it calls
FACE = {"__init__.py", "__main__.py", "py.typed", "arrays.py", "text.py", "tracking.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_name_twice(package):
    """A file's name says which file it is, without its folder."""
    seen = defaultdict(set)
    for path in files(package):
        if path.name not in PROGRAMS and path.parent != COMMANDS:
            room = PARALLEL if path.is_relative_to(PARALLEL) else path.parent
            seen[path.name].add(room.relative_to(ROOT).as_posix())
    assert {name: sorted(rooms) for name, rooms in seen.items() if len(rooms) > 1} == {}


def test_no_class_name_twice():
    """One name of a class or type stands for one thing in all three packages."""
    seen = defaultdict(lambda: defaultdict(list))
    for package in PACKAGES:
        for path in files(package):
            for name, definition in _types(ast.parse(path.read_text(encoding="utf-8"))):
                seen[name][definition].append(path.relative_to(ROOT).as_posix())
    assert {name: list(things.values()) for name, things in seen.items() if len(things) > 1} == {}


def _types(tree):
    """Yield the classes and aliases of a module: the name, and what it stands for."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, ast.unparse(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name, ast.unparse(node.value)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_hides_a_function(package):
    """No folder has the name of a function that users import: it would take its place."""
    functions = {"layerwise", "agreement", "report", "select"}
    for face in PACKAGES:
        module = importlib.import_module(face)
        functions |= {name for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    folders = {path.name for path in PACKAGES[package].rglob("*") if path.is_dir()}
    assert folders & functions == set()


def test_root_holds_only_the_face():
    """At the root of wwopt lie what users import first and what every room may import; all else has a room."""
    assert {path.name for path in PACKAGES["wwopt"].iterdir() if path.is_file()} == FACE
