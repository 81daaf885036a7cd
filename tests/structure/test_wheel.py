"""The built wheel, installed where the source is out of reach."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from safetensors.numpy import save_file

import wwopt
from tests.structure.packages import PACKAGES, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel and return the folder into which it was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"wwopt-{wwopt.__version__}-py3-none-any.whl"
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture
def run(installed, tmp_path):
    """Run Python on the wheel and the installed dependencies, from an empty folder, and return what it prints.

    Without `site` (`-S`) no `.pth` file is read, so an editable installation of the source is not found.
    """
    path = os.pathsep.join([str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])

    def run_python(*arguments):
        command = [sys.executable, "-S", "-P", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": path}
        result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run_python


def test_wheel_holds_every_file(installed):
    """The wheel holds the files of the three packages, among them the page, the table of null alphas and `py.typed`."""
    for package, folder in PACKAGES.items():
        assert _files(installed / package) == _files(folder)
        assert "py.typed" in _files(installed / package)


def _files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_packages_are_imported_from_the_wheel(installed, run):
    """All three packages come from the wheel."""
    printed = run("-c", f"import {', '.join(PACKAGES)}; print(*(p.__file__ for p in ({', '.join(PACKAGES)})))")
    assert printed.split() == [str(installed / package / "__init__.py") for package in PACKAGES]


def test_command_runs_from_the_wheel(installed, run, tmp_path):
    """`wwopt` tells its version, analyzes a file and writes a report."""
    command = installed / "bin" / "wwopt"
    assert run(command, "--version") == f"wwopt {wwopt.__version__}\n"
    save_file({"dense.weight": np.random.default_rng(0).normal(size=(60, 80))}, tmp_path / "model.safetensors")
    assert "dense" in run(command, "analyze", "model.safetensors")
    run(command, "report", "model.safetensors", "--out", "page.html")
    assert "dense" in (tmp_path / "page.html").read_text(encoding="utf-8")
