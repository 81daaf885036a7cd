"""Every module of the three packages: its docstring, its public names, its examples."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

from tests.structure.packages import PACKAGES, modules

MODULES = sorted(modules())
# A decorator makes the functions of these rooms public: in the table METRICS, and on the command line.
REGISTERED = ("wwopt.metrics.", "wwopt.cli.commands.", "wwopt.cli.app")


def load(name):
    """Import a module, or skip the test where an optional library is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in PACKAGES:
            raise
        pytest.skip(f"{name} needs {error.name}")


def defined(module):
    """Return the functions and classes that a module defines under a public name."""
    return {
        name: value
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", MODULES)
def test_module_is_documented(name):
    """A module has a docstring, and so has every public function and class in it."""
    module = load(name)
    assert (module.__doc__ or "").strip()
    assert [key for key, value in defined(module).items() if not value.__doc__] == []


@pytest.mark.parametrize("name", MODULES)
def test_public_names(name):
    """Every name in `__all__` exists, and every public function and class of a module is in it."""
    module = load(name)
    public = getattr(module, "__all__", ())
    assert sorted({key for key in public if not hasattr(module, key)}) == []
    assert len(set(public)) == len(public)
    if not name.startswith(REGISTERED):
        assert sorted(defined(module).keys() - public) == []
        assert public or hasattr(module, "__path__"), "only the docstring of a room needs no `__all__`"


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    """The examples in the docstrings hold."""
    module = load(name)
    monkeypatch.chdir(tmp_path)  # where an example may write
    assert doctest.testmod(module).failed == 0
