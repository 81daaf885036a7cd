"""What is imported when, by whom, and what is public."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import wwopt

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "optuna", "mlflow", "wandb", "matplotlib", "transformers")
MODULES = sorted(
    module.name
    for package in ("wwopt",)
    for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
    if not module.name.startswith("wwopt.cli") and module.name != "wwopt.__main__"
)
FORBIDDEN = {
    "wwopt": ("wwopt_objectives", "wwopt_trackers"),
    "objectives/wwopt_objectives": ("wwopt_trackers",),
    "trackers/wwopt_trackers": ("wwopt_objectives",),
}
COMPOSITION_ROOT = ROOT / "wwopt" / "cli"  # the command line, which alone knows all three packages


@pytest.mark.parametrize("module", ["wwopt", "wwopt.metrics", "wwopt.powerlaw"])
def test_import_stays_light(module):
    """Importing wwopt, or the numerics, loads none of the heavy libraries."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows_point_one_way(package):
    """The engine imports neither other package outside of its command line, and they never each other."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.is_relative_to(COMPOSITION_ROOT):
            continue
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            assert name.split(".")[0] not in FORBIDDEN[package], f"{path} imports {name}"


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("name", ["wwopt", *MODULES])
def test_public_names(name):
    """Every name in `__all__` exists and is documented, and every public function and class of a module is in it."""
    module = importlib.import_module(name)
    public = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    assert all(thing.__doc__ for thing in public.values() if inspect.isfunction(thing) or inspect.isclass(thing))
    defined = {
        key
        for key, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
        and not key.startswith("_")
    }
    if not name.startswith("wwopt.metrics"):  # whose functions are public through METRICS
        assert defined <= set(getattr(module, "__all__", ()))


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    """The examples in the docstrings hold."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_unknown_name_is_an_attribute_error():
    """A name that wwopt does not have is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="'analyse'"):
        wwopt.analyse  # noqa: B018  (the access is the test)
    assert set(wwopt.__all__) <= set(dir(wwopt))
