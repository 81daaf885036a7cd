"""Keras: archives and HDF5 files, with the names of the layers and kernels that lie as in PyTorch."""

from __future__ import annotations

import io
import json
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import wwopt
from wwopt.weights import open_weights
from wwopt.weights.formats.isolated import CrashError, run_isolated

h5py = pytest.importorskip("h5py")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stacks(source):
    return {matrix.name: (matrix.layer_type, matrix.read()) for matrix in open_weights(source).matrices}


def hdf5(weights, names=(), **options):
    """An HDF5 file of these data sets, and names of groups."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, values in weights.items():
            file.create_dataset(path, data=values, **(options if np.ndim(values) > 1 else {}))
        for group, name in dict(names).items():
            file[group].attrs["name"] = name
    return buffer.getvalue()


def archive(path, content, config=None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("metadata.json", "{}")
        if config is not None:
            file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", content)
    return path


NEWER = {
    "layers/conv2d/vars/0": normal(3, 3, 4, 9),
    "layers/conv2d/vars/1": normal(9),
    "layers/dense/vars/0": normal(7, 9),
    "layers/dense_1/vars/0": normal(9, 8, seed=1),
    "layers/sequential/layers/dense/vars/0": normal(12, 20, seed=2),
    "layers/embedding/vars/0": normal(30, 6),
    **{f"layers/batch_normalization/vars/{i}": np.ones(4, np.float32) for i in range(4)},
    "optimizer/vars/0": normal(9, 9),
}
LAYERS = [
    ("InputLayer", "image"),
    ("Dense", "first"),
    ("Conv2D", "stem"),
    ("Dense", "head"),
    ("Embedding", "words"),
    ("BatchNormalization", "norm"),
]


def config():
    inner = [{"class_name": "Dense", "config": {"name": "inner"}}]
    layers = [{"class_name": kind, "config": {"name": name}} for kind, name in LAYERS]
    layers.append({"class_name": "Sequential", "config": {"name": "block", "layers": inner}})
    return {"class_name": "Functional", "config": {"layers": layers}}


def test_archive(tmp_path):
    """Names and order are the configuration's, whatever the groups in the file are called; an optimizer is none."""
    found = stacks(archive(tmp_path / "m.keras", hdf5(NEWER), config()))
    assert list(found) == ["first", "stem", "head", "words", "block.inner"]
    assert [kind for kind, _ in found.values()] == ["dense", "conv2d", "dense", "embedding", "dense"]
    np.testing.assert_array_equal(found["first"][1][0], normal(7, 9).T)
    np.testing.assert_array_equal(found["stem"][1], normal(3, 3, 4, 9).reshape(9, 4, 9).swapaxes(1, 2))
    np.testing.assert_array_equal(found["words"][1][0], normal(30, 6))
    vectors = [tensor.name for _, tensor in open_weights(tmp_path / "m.keras").vectors]
    assert vectors == ["stem.bias", "norm.gamma", "norm.beta", "norm.moving_mean", "norm.moving_variance"]


def test_weights_alone(tmp_path):
    """Without a configuration a layer has the name that the file gives it, else that of its group."""
    path = tmp_path / "m.weights.h5"
    path.write_bytes(hdf5(NEWER, {"layers/dense/vars": "head", "layers/sequential/layers/dense/vars": "inner"}))
    assert set(stacks(path)) == {"conv2d", "head", "dense_1", "sequential.inner", "embedding"}


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_older_layout(tmp_path, root):
    """The older layout has the names of the weights; its own list tells their order."""
    weights = {
        "stem/stem/kernel:0": normal(3, 3, 4, 9),
        "head/head/kernel:0": normal(9, 7),
        "head/head/bias:0": normal(7),
        "block/inner/kernel:0": normal(20, 12),
        "cell/cell/lstm_cell/kernel:0": normal(8, 24),
        "cell/cell/lstm_cell/recurrent_kernel:0": normal(6, 24),
    }
    buffer = io.BytesIO(hdf5({root + name: values for name, values in weights.items()}))
    with h5py.File(buffer, "a") as file:
        top = file[root] if root else file
        top.attrs["layer_names"] = [b"stem", b"block", b"cell", b"head"]
        for layer in ("stem", "block", "cell", "head"):
            top[layer].attrs["weight_names"] = [
                name.partition("/")[2].encode() for name in weights if name.startswith(layer)
            ]
    (tmp_path / "m.h5").write_bytes(buffer.getvalue())
    found = stacks(tmp_path / "m.h5")
    gates = [f"cell.lstm_cell.{kernel}.{gate}" for kernel in ("kernel", "recurrent_kernel") for gate in "ifco"]
    assert list(found) == ["stem", "block.inner", *gates, "head"]
    np.testing.assert_array_equal(found["cell.lstm_cell.kernel.f"][1][0], normal(8, 24)[:, 6:12])
    assert found[gates[0]][0] == "lstm"


def test_attention(tmp_path):
    """The kernels of an attention are matrices between inputs and heads, as in PyTorch."""
    mha = "layers/multi_head_attention"
    weights = {
        f"{mha}/{part}_dense/vars/0": normal(10, 2, 4, seed=i) for i, part in enumerate(("query", "key", "value"))
    }
    weights |= {f"{mha}/output_dense/vars/0": normal(2, 4, 10), "layers/einsum_dense/vars/0": normal(6, 3, 5)}
    weights["layers/einsum_dense/vars/1"] = normal(3, 5)
    (tmp_path / "m.weights.h5").write_bytes(hdf5(weights))
    found = stacks(tmp_path / "m.weights.h5")
    assert {name: stack.shape for name, (_, stack) in found.items()} == {
        "einsum_dense": (1, 15, 6),
        **{f"multi_head_attention.{part}_dense": (1, 10, 8) for part in ("query", "key", "value", "output")},
    }
    key = found["multi_head_attention.key_dense"][1][0]
    np.testing.assert_array_equal(key, normal(10, 2, 4, seed=1).reshape(10, 8))
    np.testing.assert_array_equal(found["einsum_dense"][1][0], normal(6, 3, 5).reshape(6, 15).T)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "shuffle": True}, {"chunks": (5, 4)}])
def test_every_way_to_store_a_float(tmp_path, options):
    """Values in one piece, in pieces and compressed, of either byte order, and Keras's bfloat16 are read exactly."""
    bits = normal(30, 20).view(np.uint32) & 0xFFFF0000  # what bfloat16 holds
    values = bits.view(np.float32)
    stored = {dtype: values.astype(dtype) for dtype in ("float64", "float32", "float16", ">f4")}
    stored["bfloat16"] = (bits >> 16).astype(np.uint16)
    buffer = io.BytesIO(hdf5({f"{dtype}/weight": array for dtype, array in stored.items()}, **options))
    with h5py.File(buffer, "a") as file:
        file["bfloat16/weight"].attrs["dtype"] = "bfloat16"
    path = archive(tmp_path / "m.keras", buffer.getvalue(), config())
    for dtype, (_, stack) in stacks(path).items():
        expected = values if dtype == "bfloat16" else stored[dtype]
        np.testing.assert_array_equal(stack[0], expected, err_msg=dtype)


def test_other_hdf5(tmp_path):
    """An HDF5 file of no Keras layout is read by the names that it has."""
    (tmp_path / "m.hdf5").write_bytes(hdf5({"encoder/weight": normal(60, 50), "names": np.array([b"a"])}))
    assert list(stacks(tmp_path / "m.hdf5")) == ["encoder"]
    assert wwopt.analyze(tmp_path / "m.hdf5").details["num_evals"].tolist() == [50]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras, protobuf and others that it loads
def test_files_of_keras(tmp_path, monkeypatch):
    """What Keras writes is read by the names that its weights have in the model, in all three formats."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    image, ids = keras.Input((16, 16, 3)), keras.Input((5,))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, name="stem")(image))
    x = layers.SeparableConv2D(9, 3, name="split")(layers.DepthwiseConv2D(3, name="depth")(x))
    x = layers.Conv2DTranspose(7, 2, name="up")(x)
    x = keras.Sequential([layers.Conv2D(6, 1), layers.ReLU(), layers.Conv2D(5, 1)], name="block")(x)
    x = layers.Reshape((-1, 5))(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(4), name="both")(layers.LSTM(6, return_sequences=True, name="lstm")(x))
    y = layers.Flatten()(layers.Conv1D(3, 2)(layers.Embedding(13, 4, name="words")(ids)))
    model = keras.Model([image, ids], layers.Dense(2, name="head")(layers.Concatenate()([layers.Dense(11)(x), y])))
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    model.save(tmp_path / "m.h5")
    (tmp_path / "shards").mkdir()
    model.save_weights(tmp_path / "shards" / "m.weights.json", max_shard_size=3e-6)
    stored = {variable.path: np.asarray(variable.value.detach()) for variable in model.weights}
    assert len(list((tmp_path / "shards").glob("*.h5"))) > 1
    for file in ("m.keras", "m.weights.h5", "m.h5", "shards"):
        found = stacks(tmp_path / file)
        for path, values in stored.items():
            layer, _, leaf = path.replace("/", ".").rpartition(".")
            if values.ndim < 2 or leaf == "bias":
                continue
            name = layer if leaf in ("kernel", "embeddings") else f"{layer}.{leaf}"
            parts = [
                stack for key, (_, stack) in found.items() if key == name or key.startswith((f"{name}.", f"{path}."))
            ]
            if "gru" in path or "lstm" in path:
                parts = [stack for key, (_, stack) in found.items() if key.startswith(path.replace("/", "."))]
                assert len(parts) == (3 if "gru" in path else 4), (file, path)
            assert sum(part.size for part in parts) == values.size, (file, path)
            assert np.isclose(sum((part.astype(float) ** 3).sum() for part in parts), (values.astype(float) ** 3).sum())
        order = [name.partition(".")[0] for name in found]
        if file in ("m.keras", "m.h5"):
            assert order.index("stem") < order.index("depth") < order.index("split") < order.index("up")


def test_shards(tmp_path):
    """The shards of Keras are one model, by their index or by their folder; one that is missing is named."""
    weights = [{name: values for name, values in NEWER.items() if ("dense" in name) == part} for part in (True, False)]
    for i, part in enumerate(weights):
        (tmp_path / f"m_{i:05}.weights.h5").write_bytes(hdf5(part))
    files = {f"/{name.rpartition('/')[0]}": f"m_{i:05}.weights.h5" for i, part in enumerate(weights) for name in part}
    files["/layers/conv2d/vars"] = [files["/layers/conv2d/vars"]]
    (tmp_path / "m.weights.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    expected = {"conv2d", "dense", "dense_1", "sequential.dense", "embedding"}
    assert set(stacks(tmp_path / "m.weights.json")) == set(stacks(tmp_path)) == expected
    (tmp_path / "m_00001.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"names the shard m_00001\.weights\.h5, which is missing"):
        open_weights(tmp_path)


FAULTS = {
    "cut off": lambda content: content[: len(content) // 2],
    "only its first bytes": lambda content: content[:8] + bytes(90),
    "a structure of zeros": lambda content: content[:200] + bytes(len(content) - 200),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_damaged_file(tmp_path, fault, suffix):
    """A damaged file is refused in a line that names it, by a process of its own, which may crash."""
    content = FAULTS[fault](hdf5(NEWER))
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content) if suffix == ".h5" else archive(path, content, config())
    with pytest.raises(ValueError, match=r"m\.\w+ is not a readable") as raised:
        open_weights(path)
    assert "\n" not in str(raised.value)


def test_compressed_archive(tmp_path):
    """An archive that was packed again says how to unpack it."""
    path = archive(tmp_path / "m.keras", hdf5(NEWER), config(), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"is compressed\. Unpack it \(`unzip FILE`\) and give model\.weights\.h5"):
        open_weights(path)


@pytest.mark.parametrize("settings", [3, [], {"config": {"layers": [3, {"class_name": [], "config": 3}]}}])
def test_odd_configuration(tmp_path, settings):
    """A configuration that is none leaves the names of the groups."""
    assert "dense" in stacks(archive(tmp_path / "m.keras", hdf5(NEWER), settings))


def test_values_in_another_file(tmp_path):
    """A data set can point to any other file: it is left out, and the file is not opened."""
    secret = tmp_path / "secret.bin"
    secret.write_bytes(normal(60, 60).tobytes())
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("a/weight", data=normal(60, 50))
        file.create_dataset("b/weight", (60, 60), np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        file["c"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/weight")
    weights = open_weights(tmp_path / "m.h5")
    assert [matrix.name for matrix in weights.matrices] == ["a"]
    assert weights.skipped == (("b", "kept in another file, which is not read"),)


def test_more_than_it_holds(tmp_path):
    """A compressed data set that would expand to far more memory than its size suggests is not read."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("a/weight", (1 << 20, 1 << 20), np.float32, chunks=(1024, 1024), compression="gzip")
    with pytest.raises(ValueError, match=r"m\.h5 .*would expand 0 bytes to 4398046511104"):
        open_weights(tmp_path / "m.h5")


def test_missing_extra(tmp_path, monkeypatch):
    """Without h5py a line says what to install."""
    (tmp_path / "m.h5").write_bytes(hdf5(NEWER))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"m\.h5 needs h5py. Run `pip install 'wwopt\[keras\]'`"):
        open_weights(tmp_path / "m.h5")


PROGRAMS = {
    r"ends the library that reads it \(SIGSEGV\)": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "more memory or time than it may": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n"
    "bytearray(1 << 30)",
    "its description takes 2000 bytes": "print('x' * 1999)",
}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="of POSIX")
@pytest.mark.parametrize("fault", PROGRAMS)
def test_crash_of_a_library(tmp_path, fault):
    """A crash, a limit and an endless answer of the other process are errors in this one, which goes on."""
    program = Path(tmp_path, "program.py")
    program.write_text(PROGRAMS[fault])
    with pytest.raises(CrashError, match=fault):
        run_isolated(program, most=1000)


def test_process_that_does_not_end(tmp_path, monkeypatch):
    """A process that reads for ever is ended."""
    monkeypatch.setattr("wwopt.weights.formats.isolated.SECONDS", 0.5)
    program = Path(tmp_path, "program.py")
    program.write_text("import time; time.sleep(100)")
    with pytest.raises(CrashError, match="not read within"):
        run_isolated(program, most=1000)
