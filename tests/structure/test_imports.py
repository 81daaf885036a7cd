"""What an import loads, and who imports the face of the package."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import wwopt
from tests.structure.packages import PACKAGES, ROOT, files

HEAVY = {"torch", "optuna", "mlflow", "wandb", "matplotlib", "transformers", "pytorch_lightning"}
LOADED = {
    "wwopt": set(),
    "wwopt.metrics": set(),
    "wwopt.powerlaw": set(),
    "wwopt.__main__": set(),
    "wwopt_objectives": {"torch", "optuna"},
    "wwopt_trackers": set(),
}


@pytest.mark.parametrize("module", LOADED)
def test_import_stays_light(module):
    """An import loads no heavy library but those that the package is for."""
    code = f"import sys, {module}; print(*({HEAVY} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) <= LOADED[module]


def test_import_of_the_face_is_free():
    """`import wwopt` alone loads none of its dependencies."""
    code = "import sys, wwopt; print(*({'numpy', 'pandas', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_the_face(package):
    """Inside, a name is imported from its room: the face of a package, which loads rooms lazily, hides an arrow.

    The checker of the layers in `pyproject.toml` cannot see through it.
    """
    for path in files(package):
        if path.is_relative_to(PACKAGES["wwopt"] / "cli"):
            continue
        taken = set(_from_the_face(ast.parse(path.read_text(encoding="utf-8"))))
        assert taken <= {"__version__", *_rooms("wwopt")}, f"{path.relative_to(ROOT)} imports {taken} from wwopt"


def _from_the_face(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name == "wwopt")
        elif isinstance(node, ast.ImportFrom) and node.module == "wwopt":
            yield from (alias.name for alias in node.names)


def _rooms(package):
    return {path.stem for path in PACKAGES[package].iterdir()}


def test_unknown_name_is_an_attribute_error():
    """A name that wwopt does not have is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="'analyse'"):
        wwopt.analyse  # noqa: B018  (the access is the test)
    assert set(wwopt.__all__) <= set(dir(wwopt))
