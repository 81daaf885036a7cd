"""Bad input: a clear error, or a row that says why."""

from __future__ import annotations

import importlib
import math
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import wwopt
from wwopt.analysis import COLUMNS


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda code: code, lambda code: {"a.weight": torch.ones(60, 60), "x": code}])
def test_code_in_a_pickle_does_not_run(tmp_path, legacy, wrap):
    """A checkpoint that carries code is refused by name, and the code does not run."""
    proof, path = tmp_path / "ran", tmp_path / "evil.pt"
    torch.save(wrap(Payload(proof)), path, _use_new_zipfile_serialization=not legacy)
    torch.load(path, weights_only=False)
    assert proof.exists(), "the payload must work, or this test proves nothing"
    proof.unlink()
    with pytest.raises(ValueError, match=r"evil\.pt.*runs no code from a checkpoint"):
        wwopt.analyze(path)
    assert not proof.exists()


def test_code_in_a_plain_pickle_does_not_run(tmp_path):
    """Neither does that of a bare pickle."""
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    with pytest.raises(ValueError, match=r"evil\.pt"):
        wwopt.analyze(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["subprocess.Popen", "innocent.Thing"])
def test_names_of_classes_are_inert(tmp_path, monkeypatch, name):
    """A class that could act becomes a record, whatever its name: it is neither imported nor called."""
    proof, path = tmp_path / "ran", tmp_path / "net.pt"
    (tmp_path / "innocent.py").write_text(
        f"class Thing:\n    def __init__(self, _):\n        open({str(proof)!r}, 'w').close()"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module, _, attribute = name.rpartition(".")

    class Acting:
        def __reduce__(self):
            return getattr(importlib.import_module(module), attribute), (["touch", str(proof)],)

    torch.save({"a.weight": torch.ones(60, 60), "x": Acting()}, path)
    monkeypatch.delitem(sys.modules, "innocent", raising=False)
    assert list(wwopt.analyze(path).details["name"]) == ["a"]
    assert "innocent" not in sys.modules
    assert not proof.exists()


def global_(module, name):
    return f"c{module}\n{name}\n".encode()


NESTED = b")" + b"2\x86" * 60  # an empty tuple, then sixty times a pair of the last: 2^60 to hash, print or compare
HOSTILE = {
    "key of a mapping": b"}" + NESTED + b"K\x01s.",
    "key of a dict": b"(" + NESTED + b"K\x01d.",
    "key of an ordered dict": global_("collections", "OrderedDict") + b"](" + NESTED + b"K\x01\x86e\x85R.",
    "item of a set": b"(" + NESTED + b"\x91.",
    "reference": NESTED + b"Q.",
    "class": NESTED + NESTED + b"\x93.",
    "argument": global_("a", "Class") + NESTED + b"R.",
    "content": NESTED + b".",
    "long text": b"\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "long frame": b"\x95" + struct.pack("<Q", 1 << 40) + b".",
    "long bytes": b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    "number": b"I" + b"9" * 10000 + b"\n.",
    "what getattr gave": global_("builtins", "getattr") + global_("os", "system") + b"X\x01\0\0\0a\x86R)R.",
    "instance of a function": global_("os", "system") + b")\x81.",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickles(tmp_path, body, zipped):
    """Pickles that would take forever, all memory, or code to read are refused at once."""
    path = tmp_path / "evil.pt"
    body = b"\x80\x05" + body
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("evil/data.pkl", body)
    else:
        before = pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + pickle.dumps({})
        path.write_bytes(before + body + pickle.dumps([]))
    with pytest.raises(ValueError, match=r"evil\.pt"):
        wwopt.analyze(path)


@pytest.mark.parametrize(
    ("suffix", "member"), [("pt", "m/data.pkl"), ("pt2", "m/data/weights/model_weights_config.json")]
)
def test_compressed_structure_is_refused(tmp_path, suffix, member):
    """A small file cannot ask for a large one: what describes the values is never compressed by torch."""
    path = tmp_path / f"bomb.{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/archive_format" if suffix == "pt2" else "m/version", "3")
        archive.writestr(member, b"N" * 10_000_000)
    with pytest.raises(ValueError, match=rf"bomb\.{suffix}.*is compressed"):
        wwopt.analyze(path)


def test_damaged_values_of_an_npz_are_named(tmp_path):
    """What is found out only when values are read names the file too."""
    path = tmp_path / "cut.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, {"descr": "<f8", "fortran_order": False, "shape": (60, 60)})
        entry.write(bytes(60 * 60 * 8))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cut\.npz is damaged: a\.npy cannot be read: Bad CRC"):
        wwopt.analyze(path)


def test_tensor_with_fewer_strides_than_sizes(tmp_path):
    """A tensor whose place contradicts its shape is refused by name."""
    path = tmp_path / "odd.pt"
    torch.save({"a.weight": torch.ones(60, 60)}, path, _use_new_zipfile_serialization=False)
    strides = b"K<K\x01\x86"
    assert path.read_bytes().count(strides) == 1
    path.write_bytes(path.read_bytes().replace(strides, b"K\x01\x85"))
    with pytest.raises(ValueError, match=r"odd\.pt is damaged: the tensor 'a\.weight' has no shape"):
        wwopt.analyze(path)


@pytest.mark.parametrize(("dtype", "bits"), [(np.float16, 0x7D01), (np.float32, 0x7FA00001)])
def test_signalling_nan_makes_no_noise(dtype, bits):
    """A NaN of the kind that warns when it is converted is as silent as any other."""
    weight = np.ones((60, 20), dtype)
    weight.view(f"u{weight.itemsize}")[3, 4] = bits
    assert list(wwopt.analyze({"a": weight}, min_evals=2).details["status"]) == ["non-finite"]


@pytest.mark.parametrize("keep", [0, 1, 7, 100, -1, -300])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_checkpoint_is_named(tmp_path, suffix, keep):
    """A file cut off anywhere raises ValueError with its name."""
    path = tmp_path / f"cut{suffix}"
    state = {"a.weight": torch.ones(60, 60)}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"cut\{suffix} "):
        wwopt.analyze(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".th"])
def test_something_else_is_named(tmp_path, suffix):
    """A file of something else raises ValueError with its name."""
    path = tmp_path / f"notes{suffix}"
    path.write_text("dear diary, " * 100)
    with pytest.raises(ValueError, match=rf"notes\{suffix} "):
        wwopt.analyze(path)


def test_huge_header_takes_no_memory(tmp_path):
    """A safetensors header that claims an exabyte is refused before memory is taken."""
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(ValueError, match=r"huge\.safetensors"):
        wwopt.analyze(path)


@pytest.mark.parametrize("content", [3, "text", [torch.ones(60, 60)], None])
def test_checkpoint_without_a_mapping(tmp_path, content):
    """A checkpoint of something else than a mapping says what it holds."""
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=rf"odd\.pt holds a {type(content).__name__}"):
        wwopt.analyze(tmp_path / "odd.pt")


@pytest.mark.parametrize(
    "source", [{}, torch.nn.Sequential(), torch.nn.LayerNorm(60), {"bias": np.ones(60)}, {"epoch": 3}], ids=str
)
def test_no_weight_matrix(source):
    """A source without any matrix raises ValueError and says what it looked for."""
    with pytest.raises(ValueError, match=r"No weight matrix in the .*two or more dimensions"):
        wwopt.analyze(source)


@pytest.mark.parametrize("source", [3, None, [np.ones((60, 60))], np.ones((60, 60)), b"model.pt", torch.nn.Linear])
def test_wrong_type_is_named(source):
    """A source of the wrong type raises TypeError with the type and what is accepted."""
    with pytest.raises(TypeError, match=rf"`source` must be a .*, got {type(source).__name__}"):
        wwopt.analyze(source)


def test_missing_file():
    """A path that is not there raises FileNotFoundError with the path."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        wwopt.analyze("nowhere.pt")


def test_no_layer_large_enough():
    """When no layer is large enough the table is empty, has all its columns, and `skipped` says why."""
    analysis = wwopt.analyze(torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.Linear(20, 5)))
    assert tuple(analysis.details.columns) == COLUMNS
    assert len(analysis.details) == len(analysis.spectra) == 0
    assert analysis.skipped.values.tolist() == [
        ["0", "10 eigenvalues, fewer than min_evals=50"],
        ["1", "5 eigenvalues, fewer than min_evals=50"],
    ]
    assert math.isnan(analysis.summary["alpha"])
    assert analysis.summary["layers"] == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_non_finite_weights_are_a_row(bad, dtype, heavy_tailed):
    """A layer with a value that is not finite is a row that says so; its neighbours keep their numbers."""
    good = heavy_tailed(60, 60).to(dtype)
    broken = good.clone()
    broken[5, 7] = bad
    rows = wwopt.analyze({"good.weight": good, "broken.weight": broken}).details.set_index("name")
    assert list(rows["status"]) == ["success", "non-finite"]
    alone = wwopt.analyze({"good.weight": good}).details.set_index("name")
    assert rows.loc[["good"]].equals(alone)
    numbers = rows.loc["broken", "alpha":"trap_energy"].astype(float)
    assert numbers.isna().all()


@pytest.mark.parametrize(
    ("weight", "status"),
    [
        (np.zeros((60, 60)), "degenerate"),
        (np.ones((60, 70)), "degenerate"),
        (np.outer(np.arange(1, 61), np.arange(1, 71)).astype(float), "degenerate"),
        (np.full((60, 60), 1e200), "non-finite"),
        (np.eye(60), "failed"),
        (np.eye(60) * 1e-30, "failed"),
    ],
    ids=["zeros", "constant", "rank one", "overflow", "identity", "tiny identity"],
)
def test_unusable_layers_have_a_status(weight, status):
    """Zeros, rank one, equal eigenvalues and overflow are rows without an alpha, and say why."""
    row = wwopt.analyze({"layer.weight": weight}).details.iloc[0]
    assert row["status"] == status
    assert row[["alpha", "D", "alpha_weighted"]].isna().all()
    assert not (row.drop(["name", "layer_type", "status", "warning"]).astype(float) == -1).any()


def test_one_row_is_degenerate():
    """A weight of one row has a single eigenvalue."""
    options = {"min_evals": 2}
    skipped = wwopt.analyze({"row.weight": np.ones((1, 60))}, **options).skipped
    assert skipped.values.tolist() == [["row", "1 eigenvalues, fewer than min_evals=2"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_evals": 1}, r"`min_evals` must be at least 2, got 1\."),
        ({"max_evals": 10}, r"`max_evals` must be at least `min_evals` \(50\), got 10\."),
        ({"zero_tol": -1.0}, r"`zero_tol` must be 0 or more, got -1\.0\."),
        ({"zero_tol": math.nan}, r"`zero_tol` must be 0 or more, got nan\."),
        ({"zero_tol": "small"}, r"`zero_tol` must be 0 or more, got small\."),
    ],
)
def test_bad_options_name_the_rule(options, message):
    """An option out of range raises ValueError with the argument, the rule and the value."""
    with pytest.raises(ValueError, match=message):
        wwopt.analyze({"a.weight": np.ones((60, 60))}, **options)


def test_clashing_names():
    """Two tensors that come out as one layer raise ValueError with its name."""
    with pytest.raises(ValueError, match="'a'"):
        wwopt.analyze({"a": np.ones((60, 60)), "a.weight": np.ones((60, 60))})
