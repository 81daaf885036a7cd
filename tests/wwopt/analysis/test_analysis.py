"""What an analysis holds, and the file that keeps it."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import wwopt
from wwopt.analysis import COLUMNS

CONTRACT = (
    "layer_id", "layer_type", "N", "M", "Q", "rf", "num_evals", "alpha", "xmin", "xmax", "D", "sigma", "num_pl_spikes",
    "alpha_weighted", "log_alpha_norm", "norm", "log_norm", "spectral_norm", "log_spectral_norm", "stable_rank",
    "matrix_rank", "entropy", "rank_loss", "weak_rank_loss", "lambda_max", "sv_max", "sv_min", "num_traps",
    "rand_distance", "mp_softrank", "num_spikes", "warning", "status", "name", "trap_energy", "effective_rank",
)  # fmt: skip
SUMMARY = {
    "log_norm", "alpha", "alpha_weighted", "log_alpha_norm", "log_spectral_norm", "stable_rank", "mp_softrank",
}  # fmt: skip


@pytest.fixture
def analysis(heavy_tailed):
    """Two good layers, a convolution, one that is broken and one that is too small."""
    return wwopt.analyze(
        {
            "a.weight": heavy_tailed(80, 60),
            "broken.weight": torch.full((60, 60), torch.nan),
            "conv.weight": heavy_tailed(16, 16, 3, 3, seed=1),
            "ähm.weight": heavy_tailed(60, 90, seed=2),
            "small.weight": heavy_tailed(5, 5, seed=3),
        }
    )


def test_table_has_all_columns_in_order(analysis):
    """`details` has the contract's columns, with WeightWatcher's names."""
    assert tuple(analysis.details.columns) == COLUMNS
    assert set(CONTRACT) <= set(COLUMNS)
    assert list(analysis.details["layer_id"]) == [0, 1, 2, 3]


def test_spectra_are_ascending_and_whole(analysis):
    """Every row has its spectrum: float64, ascending, `num_evals` long."""
    assert list(analysis.spectra) == list(analysis.details["name"])
    for row in analysis.details.itertuples():
        evals = analysis.spectra[row.name]
        assert evals.dtype == np.float64
        assert len(evals) == row.num_evals
        assert (np.diff(evals) >= 0).all() or row.status == "non-finite"


def test_numbers_are_the_columns_of_details(analysis):
    """Every numeric column is there as float64, layer by layer, and no column of words."""
    numeric = analysis.details.select_dtypes("number")
    assert list(analysis.numbers) == list(numeric)
    for name, values in analysis.numbers.items():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, numeric[name])


def test_summary_leaves_out_what_is_not_a_number(analysis):
    """Means are over the layers that have a number; shares are of all layers."""
    rows = analysis.details
    good = rows[rows["status"] == "success"]
    assert analysis.summary["alpha"] == pytest.approx(good["alpha"].mean())
    assert analysis.summary["share_unusable"] == 0.25
    assert analysis.summary["share_over_6"] == (rows["alpha"] > 6).mean()
    assert analysis.summary["layers"] == 4
    assert {
        "log_norm",
        "alpha",
        "alpha_weighted",
        "log_alpha_norm",
        "log_spectral_norm",
        "stable_rank",
        "mp_softrank",
    } <= set(analysis.summary)


def test_cannot_be_changed(analysis):
    """An analysis is a record: its fields, its spectra and its settings are read-only."""
    with pytest.raises(AttributeError):
        analysis.details = None
    with pytest.raises(TypeError):
        analysis.spectra["a"] = None
    with pytest.raises(TypeError):
        analysis.settings["min_evals"] = 3


def assert_equal(left, right):
    pd.testing.assert_frame_equal(left.details, right.details)
    pd.testing.assert_frame_equal(left.skipped, right.skipped)
    assert dict(left.settings) == dict(right.settings)
    assert list(left.spectra) == list(right.spectra)
    for name, evals in left.spectra.items():
        np.testing.assert_array_equal(evals, right.spectra[name])


def test_roundtrip(analysis, tmp_path):
    """What is saved is loaded: tables, types, spectra and settings, NaN and umlauts included."""
    analysis.save(tmp_path / "a.npz")
    assert_equal(wwopt.Analysis.load(tmp_path / "a.npz"), analysis)
    assert wwopt.Analysis.load(str(tmp_path / "a.npz")).summary == pytest.approx(analysis.summary, nan_ok=True)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda analysis: pickle.loads(pickle.dumps(analysis))])
def test_copies_and_travels(analysis, duplicate):
    """An analysis can be copied, and sent to another process."""
    assert_equal(duplicate(analysis), analysis)


def test_roundtrip_of_an_empty_one(tmp_path):
    """An analysis without a layer comes back with all its columns."""
    empty = wwopt.analyze({"a.weight": np.ones((3, 3))})
    empty.save(tmp_path / "a")
    assert_equal(wwopt.Analysis.load(tmp_path / "a"), empty)


def test_save_replaces_and_leaves_nothing_behind(analysis, tmp_path):
    """Saving twice leaves one file, under exactly the name that was given."""
    for _ in range(2):
        analysis.save(tmp_path / "kept.ww")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.ww"]


def test_failed_save_keeps_the_old_file(analysis, tmp_path, monkeypatch):
    """A save that breaks off leaves what was there, and no scratch file."""
    analysis.save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def full_disk(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        analysis.save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_saved_file_holds_no_pickle(analysis, tmp_path):
    """Every array in the file is read without pickles."""
    analysis.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "iufU" for name in arrays.files)


def test_an_older_file_lacks_what_is_newer(analysis, tmp_path):
    """A metric that a file was saved without is NaN, and the rest is there."""
    older = replace(analysis, details=analysis.details.drop(columns="entropy"))
    older.save(tmp_path / "older.npz")
    details = wwopt.Analysis.load(tmp_path / "older.npz").details
    assert details["entropy"].isna().all()
    assert details.drop(columns="entropy").equals(older.details)


def test_the_first_format_loads(analysis, tmp_path):
    """A file of format 1, with an array for each column, gives the same analysis."""
    tables = {"details": analysis.details, "skipped": analysis.skipped}
    arrays = {
        f"{table}/{name}": column.to_numpy(np.str_ if pd.api.types.is_string_dtype(column) else None)
        for table, frame in tables.items()
        for name, column in frame.items()
    }
    np.savez(
        tmp_path / "first.npz",
        **arrays,
        header=json.dumps({"format": 1, "settings": dict(analysis.settings)}),
        **{
            "spectra/names": np.array(list(analysis.spectra)),
            "spectra/lengths": np.array([len(evals) for evals in analysis.spectra.values()]),
            "spectra/values": np.concatenate(list(analysis.spectra.values())),
        },
    )
    assert_equal(wwopt.Analysis.load(tmp_path / "first.npz"), analysis)


def test_pairs_and_strange_names_come_back(tmp_path):
    """Matched layers are kept, and names that are long or end in a null."""
    network = {f"{name}.weight": np.random.default_rng(0).normal(size=(60, 60)) for name in ("a\0", "b" * 9000, "c")}
    analysis = wwopt.analyze(network, alignment=True)
    analysis.save(tmp_path / "a.npz")
    loaded = wwopt.Analysis.load(tmp_path / "a.npz")
    assert_equal(loaded, analysis)
    pd.testing.assert_frame_equal(loaded.pairs, analysis.pairs)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def _empty(path):
    path.write_bytes(b"")


def _text(path):
    path.write_text("alpha,2.0\n")


def _other_npz(path):
    np.savez(path, weights=np.ones(3))


def _no_spectra(path):
    np.savez(path, header=np.array(json.dumps({"format": 1, "settings": {}})))


def _flip(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        info = max(file.infolist(), key=lambda item: item.compress_size)
    content[info.header_offset + 200] ^= 0xFF
    path.write_bytes(bytes(content))


def _pickled(path):
    np.savez(path, header=np.array([{"format": 1}], dtype=object))


@pytest.mark.parametrize("damage", [_truncate, _empty, _text, _other_npz, _no_spectra, _flip, _pickled])
def test_damaged_file_says_so(analysis, tmp_path, damage):
    """A file that is damaged or something else raises ValueError with its name."""
    path = tmp_path / "damaged.npz"
    analysis.save(path)
    damage(path)
    with pytest.raises(ValueError, match=r"damaged\.npz is not a saved analysis"):
        wwopt.Analysis.load(path)


def test_missing_file(tmp_path):
    """A file that is not there raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        wwopt.Analysis.load(tmp_path / "nowhere.npz")


def test_newer_format_says_so(analysis, tmp_path, monkeypatch):
    """A file of a later version asks for an upgrade."""
    monkeypatch.setattr("wwopt.analysis.archive.FORMAT", 99)
    analysis.save(tmp_path / "a.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"newer wwopt wrote it \(format 99\); upgrade"):
        wwopt.Analysis.load(tmp_path / "a.npz")


def test_table_of_an_analysis_is_made_once_and_changes_nothing(tmp_path):
    """Before and after somebody looked at `details`: the same numbers, words, copy and file."""
    fresh = wwopt.analyze({"fc.weight": np.random.default_rng(0).normal(size=(80, 60)), "b.weight": np.ones((3, 3))})
    numbers, words = dict(fresh.numbers), dict(fresh.words)
    fresh.save(tmp_path / "fresh")
    seen = pickle.loads(pickle.dumps(fresh))
    assert seen.details is seen.details
    assert seen.skipped["name"].tolist() == ["b"]
    seen.save(tmp_path / "seen")
    assert (tmp_path / "seen").read_bytes() == (tmp_path / "fresh").read_bytes()
    again = wwopt.Analysis.load(tmp_path / "seen")
    pd.testing.assert_frame_equal(again.details, seen.details)
    for analysis in (seen, again):
        assert {name: column.tolist() for name, column in analysis.words.items()} == {
            name: column.tolist() for name, column in words.items()
        }
        for name, column in numbers.items():
            np.testing.assert_array_equal(analysis.numbers[name], column)


def test_rows_become_a_table_with_all_columns():
    """A row may lack numbers, which are NaN, and is numbered by its place; without a row the types are the same."""
    row = {"name": "fc", "layer_type": "dense", "status": "failed", "warning": "", "N": 80, "M": 60, "rf": 1}
    made = wwopt.Analysis.from_rows([row | {"num_evals": 60}] * 2, {}, [("b", "too small")], {"seed": 0})
    assert tuple(made.details.columns) == COLUMNS
    assert made.details["layer_id"].tolist() == [0, 1]
    assert made.details["alpha"].isna().all()
    assert made.skipped.to_dict("records") == [{"name": "b", "reason": "too small"}]
    empty = wwopt.Analysis.from_rows([], {})
    assert empty.details.dtypes.equals(made.details.dtypes)
    assert list(empty.skipped) == ["name", "reason"]


def test_replaced_table_stands_for_the_old(analysis):
    """`dataclasses.replace` gives an analysis whose numbers are those of the new table, and leaves the old alone."""
    other = replace(analysis, details=analysis.details.assign(alpha=3.0))
    assert other.summary["alpha"] == 3.0
    assert analysis.summary["alpha"] != 3.0
    assert other.skipped.equals(analysis.skipped)
    with pytest.raises(AttributeError, match="'Analysis' object has no attribute 'detials'"):
        analysis.detials  # noqa: B018  (the access is the test)
