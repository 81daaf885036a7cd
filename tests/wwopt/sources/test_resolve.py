"""What a source is taken for, and what is said to who gives it where it has no place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import wwopt
from wwopt.sources import Kind, resolve, weights_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One of each kind of path, with this as the current folder."""
    monkeypatch.chdir(tmp_path)
    weight = torch.randn(80, 60, generator=torch.Generator().manual_seed(0))
    torch.save({"fc.weight": weight}, "net.pt")
    np.savez("net.npz", **{"fc.weight": weight.numpy()})
    analysis = wwopt.analyze({"fc.weight": weight})
    analysis.save("saved.npz")
    analysis.details.to_csv("details.csv")
    for name in ("run", "model", "empty"):
        (tmp_path / name).mkdir()
    torch.save({"fc.weight": weight}, "run/epoch-1.pt")
    torch.save({"fc.weight": weight}, "model/pytorch_model.bin")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("net.pt", Kind.FILE),
        ("net.npz", Kind.FILE),
        ("saved.npz", Kind.SAVED),
        ("details.csv", Kind.TABLE),
        ("run", Kind.FOLDER),
        ("empty/", Kind.FOLDER),
        ("model", Kind.MODEL),
        ("hf://org/name@main", Kind.REMOTE),
        ("models:/digits/3", Kind.REMOTE),
        ("models:/m-0123456789abcdef0123456789abcdef", Kind.REMOTE),
        ("models:/digits@champion", Kind.ALIAS),
        ("models:/digits", Kind.REGISTERED),
        ("runs:/0123abcd", Kind.RUN),
        ("runs:/0123abcd/", Kind.RUN),
        ("runs:/0123abcd/model", Kind.REMOTE),
    ],
)
def test_names_and_paths(source, kind, folder):
    """A path is told by what lies there, a name by how it is written; its label is what was given."""
    found = resolve(source)
    assert (found.kind, found.label) == (kind, source)
    assert resolve(found) is found


def test_objects(folder):
    """Objects are told by their types; nothing else is a source."""
    analysis = wwopt.Analysis.load("saved.npz")
    objects = {Kind.MODULE: nn.Linear(3, 2), Kind.MAPPING: {}, Kind.ANALYSIS: analysis, Kind.TABLE: pd.DataFrame()}
    for kind, source in objects.items():
        found = resolve(source)
        assert (found.kind, found.value is source, found.label) == (kind, True, type(source).__name__)
    with pytest.raises(TypeError, match=r"`source` must be a torch.nn.Module, .* got int"):
        resolve(3)
    with pytest.raises(FileNotFoundError, match=r"^No such file: gone/net.pt$"):
        resolve("gone/net.pt")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("saved.npz", "got a saved analysis: saved.npz. `wwopt.Analysis.load` reads it, `wwopt.rank` ranks it."),
        ("details.csv", "got a table of layers: details.csv. `wwopt.rank` ranks it."),
        ("models:/digits", "got a registered model with all its versions: models:/digits. Give one version, such as"),
    ],
)
def test_what_holds_no_weights_is_named_with_what_to_call(source, message, folder):
    """`analyze`, its base and `compare` say in a line what they were given, and what takes it."""
    good = {"fc.weight": np.ones((80, 60))}
    calls = [
        lambda: wwopt.analyze(source),
        lambda: wwopt.analyze(good, base=source),
        lambda: wwopt.compare(good, source),
        lambda: weights_of(source),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^`source` must hold weights, ") as caught:
            call()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_analysis_in_memory_is_of_the_wrong_type(folder):
    """It names the type, as for any other object that holds no weights."""
    with pytest.raises(TypeError, match=r"got an analysis: Analysis. It has been analysed already."):
        wwopt.analyze(wwopt.Analysis.load("saved.npz"))
    with pytest.raises(TypeError, match=r"got a table of layers: DataFrame. `wwopt.rank` ranks it."):
        wwopt.analyze(pd.read_csv("details.csv"))


def test_a_damaged_archive_is_read_as_weights(tmp_path):
    """Resolving it does not fail: the reader of weights names the file and the fault."""
    path = tmp_path / "damaged.npz"
    np.savez(path, **{"fc.weight": np.eye(60)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02")] = 0  # the directory's signature
    path.write_bytes(content)
    assert resolve(path).kind is Kind.FILE
    with pytest.raises(ValueError, match=r"damaged\.npz"):
        wwopt.analyze(path)
