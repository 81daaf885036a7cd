"""Results by content: the same numbers, less work, never a wrong hit."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

import wwopt
from wwopt.engine import measure
from wwopt.engine.cache import Cache
from wwopt.engine.settings import Settings
from wwopt.weights import WeightMatrix


@pytest.fixture
def source(heavy_tailed):
    return {
        "a.weight": heavy_tailed(70, 60),
        "b.weight": heavy_tailed(16, 16, 3, 3, seed=1),
        "broken.weight": np.full((60, 60), np.nan),
        "zeros.weight": np.zeros((60, 60)),
    }


@pytest.fixture
def decompositions(monkeypatch):
    """Counts the layers that are decomposed."""
    calls = []
    original = measure.eigenvalues
    monkeypatch.setattr(measure, "eigenvalues", lambda stack, **options: calls.append(1) or original(stack, **options))
    return calls


def assert_same(left, right):
    pd.testing.assert_frame_equal(left.details, right.details, check_exact=True)
    for name, evals in left.spectra.items():
        np.testing.assert_array_equal(evals, right.spectra[name])


def test_second_analysis_is_the_first(source, tmp_path, decompositions):
    """With a cache nothing is decomposed twice, and every number is the same, bit for bit, NaN included."""
    plain = wwopt.analyze(source)
    first = wwopt.analyze(source, cache=tmp_path / "new" / "cache")
    decompositions.clear()
    second = wwopt.analyze(source, cache=tmp_path / "new" / "cache")
    assert decompositions == []
    assert_same(plain, first)
    assert_same(first, second)


def test_names_do_not_matter(source, tmp_path, decompositions):
    """The content counts: a renamed layer, or the same in another file, is known."""
    wwopt.analyze(source, cache=tmp_path)
    decompositions.clear()
    renamed = wwopt.analyze({f"model.{name}": weight for name, weight in source.items()}, cache=tmp_path)
    assert decompositions == []
    assert list(renamed.details["name"]) == ["model.a", "model.b", "model.broken", "model.zeros"]


def test_equal_layers_are_decomposed_once(heavy_tailed, tmp_path, decompositions):
    """Copies within one network are known as soon as the first is."""
    weight = heavy_tailed(70, 60)
    analysis = wwopt.analyze({"a.weight": weight, "b.weight": weight.clone()}, cache=tmp_path)
    assert len(decompositions) == 1
    assert analysis.details["alpha"].tolist() == [analysis.summary["alpha"]] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda source: source | {"a.weight": source["a.weight"] * 1.0001},
        lambda source: source | {"a.weight": source["a.weight"].T.contiguous().reshape(70, 60)},
        lambda source: source | {"a.weight": source["a.weight"].double()},
    ],
)
def test_changed_weights_are_measured(source, tmp_path, decompositions, change):
    """A changed value, order or type is another content."""
    wwopt.analyze(source, cache=tmp_path)
    decompositions.clear()
    changed = change(source)
    assert_same(wwopt.analyze(changed, cache=tmp_path), wwopt.analyze(changed))
    assert len(decompositions) == 1 + len(source)


OTHER = {
    "include": "a*",
    "exclude": "a*",
    "min_evals": 20,
    "max_evals": 400,
    "estimator": "hill",
    "randomize": False,
    "zero_tol": 0.1,
    "base": "base.pt",
    "precision": "single",
    "alignment": True,
    "invariant": False,
    "response": True,  # changes no number, but stands in the keys of every cache that was written
    "confidence": 0.95,
    "seed": 1,
}
WITHOUT_EFFECT = {
    "include": "chooses layers",
    "exclude": "chooses layers",
    "min_evals": "chooses layers",
    "max_evals": "chooses layers",
    "base": "the weights that are hashed are differences already",
    "alignment": "pairs of layers are not kept in the cache",
    "invariant": "a layer with fixed scales is another layer to the cache",
    "seed": "nothing is drawn without `confidence`",
}


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_that_changes_numbers_changes_the_key(name, tmp_path):
    """A setting is part of the key, or there is a reason why no number of a layer depends on it."""
    stack = np.ones((1, 70, 60))
    matrix = WeightMatrix("fc", "dense", 1, 70, 60, lambda: stack)
    plain = Cache(tmp_path).key(matrix, stack, Settings())
    changed = Cache(tmp_path).key(matrix, stack, Settings(**{name: OTHER[name]}))
    assert (plain == changed) == (name in WITHOUT_EFFECT)


def test_the_seed_is_part_of_the_key_where_something_is_drawn(tmp_path):
    """With intervals, the draws depend on it."""
    stack = np.ones((1, 70, 60))
    matrix = WeightMatrix("fc", "dense", 1, 70, 60, lambda: stack)
    drawn = {Cache(tmp_path).key(matrix, stack, Settings(confidence=0.9, seed=seed)) for seed in (0, 1)}
    assert len(drawn) == 2


@pytest.mark.parametrize("options", [{"precision": "single"}, {"zero_tol": 0.1}, {"randomize": False}])
def test_settings_are_part_of_the_content(source, tmp_path, options):
    """Other settings give other numbers, which are kept apart."""
    wwopt.analyze(source, cache=tmp_path)
    assert_same(wwopt.analyze(source, cache=tmp_path, **options), wwopt.analyze(source, **options))


def test_choice_of_layers_is_not(source, tmp_path, decompositions):
    """Settings that only choose layers share what is known."""
    wwopt.analyze(source, cache=tmp_path)
    decompositions.clear()
    wwopt.analyze(source, cache=tmp_path, include="a", min_evals=10)
    assert decompositions == []


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"x" * len(content)]
)
def test_damaged_entries_are_measured_again(source, tmp_path, damage):
    """A file that is cut off or overwritten is not believed, and is repaired."""
    expected = wwopt.analyze(source, cache=tmp_path)
    entries = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(entries) == len(source)
    whole = {path: path.read_bytes() for path in entries}
    for path in entries:
        path.write_bytes(damage(path.read_bytes()))
    assert_same(wwopt.analyze(source, cache=tmp_path), expected)
    assert {path: path.read_bytes() for path in entries} == whole


@pytest.mark.slow
def test_processes_share_a_cache(source, tmp_path):
    """Processes that fill one folder at the same time leave whole entries and nothing else."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(_analyze, [source] * 4, [tmp_path] * 4))
    for result in results[1:]:
        assert_same(result, results[0])
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(source)


def _analyze(source, cache):
    return wwopt.analyze(source, cache=cache)
